"""Lints the chart with Helm itself and renders it: render.py FOLDER, one file a template.

Refuses what a cluster that holds to the "restricted" pod security standard would.
"""

import pathlib
import sys

import helm_python
import yaml

HERE = pathlib.Path(__file__).parent
CHART = HERE / "attache"
WARNING = 2


def main(folder: pathlib.Path) -> None:
    values = yaml.safe_load((HERE / "example-values.yaml").read_text())
    report = helm_python.lint(CHART, values, strict=True, kube_version="v1.30.0")
    complaints = [m for m in report["messages"] if m["severity"] >= WARNING]
    assert not complaints and not report["errors"], report

    with helm_python.Chart.load(CHART) as chart:
        for wrong in [{}, {"config": {"public_url": "http://gw.example.com"}}, {"replica": 3},
                      {"config": values["config"] | {"listen": "0.0.0.0:80"}}]:
            assert refused(chart, values if "replica" in wrong else {}, wrong), wrong
        rendered = chart.render(values, name="gw", namespace="attache")
        digest = "sha256:" + 64 * "0"
        alone = {"replicas": 1, "networkPolicy": {"enabled": False}, "image": {"digest": digest}}
        fewer = chart.render(values | alone, name="attache", namespace="attache")
    documents = [text for name, text in fewer.items() if name.endswith(".yaml") and text.strip()]
    kinds = [yaml.safe_load(text)["kind"] for text in documents]
    assert sorted(kinds) == ["Deployment", "Secret", "Service"], kinds
    assert any(f'image: "attache@{digest}"' in text for text in fewer.values())

    folder.mkdir(parents=True, exist_ok=True)
    kinds = []
    for name, text in rendered.items():
        if name.endswith(".yaml"):
            document = yaml.safe_load(text)
            kinds.append(document["kind"])
            (folder / pathlib.Path(name).name).write_text(text)
            if document["kind"] == "Deployment":
                restricted(document["spec"]["template"]["spec"])
            if document["kind"] == "Secret":
                (folder / "attache.yaml").write_text(document["stringData"]["attache.yaml"])
    print("the chart renders", ", ".join(sorted(kinds)))


def refused(chart: helm_python.Chart, values: dict, wrong: dict) -> bool:
    try:
        chart.validate_schema(chart.merge_values(values | wrong))
    except helm_python.HelmError:
        return True
    return False


def restricted(pod: dict) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert all("secret" in volume for volume in pod["volumes"])
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
