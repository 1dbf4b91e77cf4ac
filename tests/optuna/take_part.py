"""Reads a study with Optuna, adds some trials to it, and prints what it read as JSON: take_part.py FILE|URL TRIALS"""

import json
import math
import sys

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
storage = sys.argv[1] if "://" in sys.argv[1] else f"sqlite:///{sys.argv[1]}"
study = optuna.load_study(study_name="function", storage=storage)
read = [
    {
        "number": trial.number,
        "state": trial.state.name,
        "values": trial.values and [value if math.isfinite(value) else str(value) for value in trial.values],
        "params": trial.params,
        "steps": {str(step): value for step, value in trial.intermediate_values.items()},
        "notes": trial.user_attrs,
        "ended": trial.datetime_complete is not None,
    }
    for trial in study.trials
]


def objective(trial):
    x = trial.suggest_float("x", 1e-3, 1.0, log=True)
    n = trial.suggest_int("n", 1, 8)
    kind = trial.suggest_categorical("kind", ["even", "odd"])
    return math.log10(x) ** 2 + n + (kind == "odd")


study.optimize(objective, n_trials=int(sys.argv[2]))
print(json.dumps({"trials": read, "direction": study.direction.name, "best": study.best_trial.number}))
