"""Reads dashboard.json as Grafana's own types read it, and writes its queries as rules: check.py FILE.

promtool parses rules and nothing else of PromQL, so each query becomes one.
"""

import json
import pathlib
import sys

import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

HERE = pathlib.Path(__file__).parent
COLUMNS = 24
# What Grafana puts in their place.
VARIABLES = {"$__rate_interval": "5m", "$upstream": ".*"}


def main(rules: pathlib.Path) -> None:
    plugins.register_default_plugins()
    written = json.loads((HERE / "dashboard.json").read_text())
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(written)))
    lost = list(differences(written, read, "dashboard"))
    assert not lost, lost

    panels = written["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels), "two panels with one id"
    cells = [cell for panel in panels for cell in covered(panel["gridPos"])]
    assert len(set(cells)) == len(cells), "two panels in one place"
    assert all(x < COLUMNS for x, _ in cells), "a panel beyond the edge"

    queries = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    for variable, value in VARIABLES.items():
        queries = [query.replace(variable, value) for query in queries]
    named = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries)]
    rules.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": named}]}))
    print(f"the dashboard has {len(queries)} queries")


def differences(written, read, place: str):
    """Where what was read is not what was written: a field that is not there, or of another type."""
    if isinstance(written, dict) and isinstance(read, dict):
        for key, value in written.items():
            yield from differences(value, read.get(key), f"{place}.{key}")
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        for n, (one, other) in enumerate(zip(written, read)):
            yield from differences(one, other, f"{place}[{n}]")
    elif written != read and written not in ([], {}):
        yield f"{place}: {written!r} is read as {read!r}"


def covered(position: dict):
    for x in range(position["x"], position["x"] + position["w"]):
        for y in range(position["y"], position["y"] + position["h"]):
            yield x, y


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
