"""Prints as JSON what TensorBoard shows of a directory: starts its server, and asks it as its page does.

    python read.py DIRECTORY true|false KIND...   # with or without TensorBoard's own fast loader; the kinds to wait for
"""

import base64
import json
import struct
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from tensorboard import default, program

LIMIT_SECONDS = 60


def main(directory, load_fast, *kinds):
    board = program.TensorBoard(default.get_plugins())
    board.configure(logdir=directory, host="127.0.0.1", port=0, load_fast=load_fast, reload_interval=1.0)
    url = board.launch()

    def ask(path, body=None, **arguments):
        query = urllib.parse.urlencode(arguments)
        data = None if body is None else json.dumps(body).encode()
        address = f"{url}data/plugin/{path}" + (f"?{query}" if query else "")
        request = urllib.request.Request(address, data, {"Content-Type": "application/json"} if data else {})
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    def ask_json(path, body=None, **arguments):
        return json.loads(ask(path, body, **arguments))

    def tags(plugin):
        return [(run, tag) for run, tags in ask_json(f"{plugin}/tags").items() for tag in tags]

    def points(plugin, path):
        return {f"{run}:{tag}": [point[1:] for point in ask_json(path, run=run, tag=tag)] for run, tag in tags(plugin)}

    def images():
        found = {}
        for run, tag in tags("images"):
            for entry in ask_json("images/images", run=run, tag=tag, sample=0):
                data = ask("images/individualImage", **dict(urllib.parse.parse_qsl(entry["query"])))
                found[f"{run}:{tag}"] = {"step": entry["step"], "png": base64.b64encode(data).decode()}
        return found

    def curves():
        found = {}
        for run, tag in tags("pr_curves"):
            for entry in ask_json("pr_curves/pr_curves", run=run, tag=tag)[run]:
                names = ("step", "thresholds", "precision", "recall", "true_positives", "false_positives")
                found[f"{run}:{tag}"] = {name: entry[name] for name in names}
        return found

    def hyperparameters():
        experiment = ask_json("hparams/experiment", {"experimentName": ""})
        columns = [{"hparam": info["name"]} for info in experiment["hparamInfos"]]
        columns += [{"metric": info["name"]} for info in experiment["metricInfos"]]
        request = {
            "experimentName": "",
            "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
            "colParams": [{**column, "includeInResult": True} for column in columns],
            "startIndex": 0,
            "sliceSize": 100,
        }
        groups = ask_json("hparams/session_groups", request)["sessionGroups"]
        value = lambda metric: (f"{metric['name']['group']}:{metric['name']['tag']}", metric["value"])
        return [
            {
                "hyperparameters": group["hparams"],
                "metrics": dict(value(metric) for metric in group["metricValues"]),
                "status": [session["status"] for session in group["sessions"]],
            }
            for group in groups
        ]

    def embeddings():
        found = {}
        for run in ask_json("projector/runs"):
            for info in ask_json("projector/info", run=run)["embeddings"]:
                name = info["tensorName"]
                data = ask("projector/tensor", run=run, name=name)
                found[f"{run}:{name}"] = {
                    "shape": info["tensorShape"],
                    "values": struct.unpack(f"<{len(data) // 4}f", data),
                    "labels": ask("projector/metadata", run=run, name=name).decode() if "metadataPath" in info else None,
                }
        return found

    def graphs():
        runs = ask_json("graphs/info")
        return {run: ask("graphs/graph", run=run).decode() for run, info in runs.items() if info["run_graph"]}

    readers = {
        "scalars": lambda: points("scalars", "scalars/scalars"),
        "histograms": lambda: points("histograms", "histograms/histograms"),
        "images": images,
        "pr_curves": curves,
        "hyperparameters": hyperparameters,
        "embeddings": embeddings,
        "graphs": graphs,
    }

    # The server loads in the background: what stays the same for two rounds, and is not empty, is all.
    end = time.time() + LIMIT_SECONDS
    before = None
    while time.time() < end:
        try:
            now = {kind: readers[kind]() for kind in kinds}
        except urllib.error.HTTPError:
            now = None
        if now is not None and now == before and all(now.values()):
            break
        before = now
        time.sleep(1.5)
    print(json.dumps(before))


main(*sys.argv[1:])
