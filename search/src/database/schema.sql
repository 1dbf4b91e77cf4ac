CREATE TABLE IF NOT EXISTS studies (study_id {serial} NOT NULL PRIMARY KEY, study_name VARCHAR(512) NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS ix_studies_study_name ON studies (study_name);
CREATE TABLE IF NOT EXISTS version_info (version_info_id INTEGER NOT NULL PRIMARY KEY CHECK (version_info_id = 1),
  schema_version INTEGER, library_version VARCHAR(256));
CREATE TABLE IF NOT EXISTS study_directions (study_direction_id {serial} NOT NULL PRIMARY KEY, direction {direction} NOT NULL,
  study_id INTEGER NOT NULL REFERENCES studies (study_id), objective INTEGER NOT NULL, UNIQUE (study_id, objective));
CREATE TABLE IF NOT EXISTS study_user_attributes (study_user_attribute_id {serial} NOT NULL PRIMARY KEY,
  study_id INTEGER REFERENCES studies (study_id), "key" VARCHAR(512), value_json TEXT, UNIQUE (study_id, "key"));
CREATE TABLE IF NOT EXISTS study_system_attributes (study_system_attribute_id {serial} NOT NULL PRIMARY KEY,
  study_id INTEGER REFERENCES studies (study_id), "key" VARCHAR(512), value_json TEXT, UNIQUE (study_id, "key"));
CREATE TABLE IF NOT EXISTS trials (trial_id {serial} NOT NULL PRIMARY KEY, number INTEGER,
  study_id INTEGER REFERENCES studies (study_id), state {state} NOT NULL, datetime_start {time}, datetime_complete {time});
CREATE INDEX IF NOT EXISTS ix_trials_study_id ON trials (study_id);
CREATE TABLE IF NOT EXISTS trial_user_attributes (trial_user_attribute_id {serial} NOT NULL PRIMARY KEY,
  trial_id INTEGER REFERENCES trials (trial_id), "key" VARCHAR(512), value_json TEXT, UNIQUE (trial_id, "key"));
CREATE TABLE IF NOT EXISTS trial_system_attributes (trial_system_attribute_id {serial} NOT NULL PRIMARY KEY,
  trial_id INTEGER REFERENCES trials (trial_id), "key" VARCHAR(512), value_json TEXT, UNIQUE (trial_id, "key"));
CREATE TABLE IF NOT EXISTS trial_params (param_id {serial} NOT NULL PRIMARY KEY, trial_id INTEGER REFERENCES trials (trial_id),
  param_name VARCHAR(512), param_value {real}, distribution_json TEXT, UNIQUE (trial_id, param_name));
CREATE TABLE IF NOT EXISTS trial_values (trial_value_id {serial} NOT NULL PRIMARY KEY,
  trial_id INTEGER NOT NULL REFERENCES trials (trial_id), objective INTEGER NOT NULL, value {real}, value_type {value_type} NOT NULL,
  UNIQUE (trial_id, objective));
CREATE TABLE IF NOT EXISTS trial_intermediate_values (trial_intermediate_value_id {serial} NOT NULL PRIMARY KEY,
  trial_id INTEGER NOT NULL REFERENCES trials (trial_id), step INTEGER NOT NULL, intermediate_value {real},
  intermediate_value_type {step_type} NOT NULL, UNIQUE (trial_id, step));
CREATE TABLE IF NOT EXISTS trial_heartbeats (trial_heartbeat_id {serial} NOT NULL PRIMARY KEY,
  trial_id INTEGER NOT NULL REFERENCES trials (trial_id), heartbeat {time} NOT NULL, UNIQUE (trial_id));
CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY);
CREATE TABLE IF NOT EXISTS samara_leases (trial_id INTEGER NOT NULL PRIMARY KEY REFERENCES trials (trial_id), token TEXT NOT NULL,
  attempt INTEGER NOT NULL, ends DOUBLE PRECISION NOT NULL);
