"""The command line, as its user runs it."""

import json
import os
import re
import subprocess
import sys

import pytest

pytest.importorskip("typer", reason="the command line needs the extra `cli`")
pytest.importorskip("rich", reason="the command line needs the extra `cli`")


def nnkern(*args, cwd=None, code=None):
    command = [sys.executable, "-c", code] if code else [sys.executable, "-m", "nnkern"]
    return subprocess.run([*command, *args], cwd=cwd, capture_output=True, text=True, timeout=300)


def test_info():
    done = nnkern("info", "--json")
    facts = json.loads(done.stdout)
    assert (
        done.returncode == 0
        and facts["isa"]["used"] in facts["isa"]["available"]
        and facts["threads"]["used"] >= 1
    )
    assert "threads" in nnkern("info").stdout


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("bench", "--filter", "no such case"), "no case holds"),
        (("bench", "--threads", "many"), "whole numbers"),
        (("bench", "--filter", "24 x 24", "--out", __file__), "can't be a folder"),
        (("train", "mlp", "--epochs", "0"), "epochs"),
        (("train", "timeseries", "--epochs", "-3"), "epochs"),
        (("train", "mlp", "--seed", "-1"), "'--seed'"),
        (("generate", "none", "--seed", "-1"), "'--seed'"),
        (("fly",), "No such command"),
    ],
)
def test_wrong_use_is_explained(args, text):
    done = nnkern(*args)
    # the message stands in a frame that may break its lines anywhere
    said = " ".join(re.sub("[│╭╮╰╯─]", " ", done.stderr).split())
    assert done.returncode == 2 and text in said and "Traceback" not in said


def test_train_mlp(tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn ships the digits")
    pytest.importorskip("matplotlib", reason="the pictures need matplotlib")
    done = nnkern("train", "mlp", "--epochs", "2", "--out", str(tmp_path / "mlp"))
    assert done.returncode == 0 and "test accuracy" in done.stdout, done.stderr
    assert {p.name for p in (tmp_path / "mlp").iterdir()} == {"mlp.safetensors", "loss.png", "confusion.png"}


def test_json_is_alone_on_the_output(tmp_path):
    done = nnkern("bench", "--filter", "24 x 24", "--threads", "1", "--json", "--out", str(tmp_path / "out"))
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["failures"] == [] and found["machine"]["isa"]
    assert found["rows"][0]["name"] == "24 x 24 x 24" and "24 x 24" in done.stderr and "NumPy" in done.stderr
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"report.html", "report.json", "report.md"}
    pytest.importorskip("sklearn", reason="scikit-learn ships the digits")
    pytest.importorskip("matplotlib", reason="the pictures need matplotlib")
    done = nnkern("train", "mlp", "--epochs", "1", "--json", "--out", str(tmp_path / "mlp"))
    found = json.loads(done.stdout)
    assert done.returncode == 0 and 0 < found["test_accuracy"] <= 1 and len(found["history"]) == 1
    assert sum(map(sum, found["confusion"])) == 359 and "test accuracy" in done.stderr


@pytest.mark.parametrize("package", ["threadpoolctl", "sklearn", "matplotlib"])
def test_a_missing_package_is_named(package, tmp_path):
    command = (
        ["bench", "--filter", "24 x 24"] if package == "threadpoolctl" else ["train", "mlp", "--epochs", "1"]
    )
    code = f"import sys; sys.modules[{package!r}] = None; from nnkern.cli import main; main()"
    done = nnkern(*command, "--out", str(tmp_path), code=code)
    assert (
        done.returncode == 1 and "pip install 'nnkern[cli]'" in done.stderr and "Traceback" not in done.stderr
    )


def test_train_lenet5(tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn ships the digits")
    pytest.importorskip("matplotlib", reason="the pictures need matplotlib")
    done = nnkern("train", "lenet5", "--epochs", "1", "--out", str(tmp_path))
    assert done.returncode == 0 and "test accuracy" in done.stdout, done.stderr
    assert {p.name for p in tmp_path.iterdir()} == {
        "lenet5.safetensors", "loss.png", "confusion.png", "filters.png"
    }  # fmt: skip


def test_textgen_writes_and_generate_goes_on(tmp_path):
    pytest.importorskip("matplotlib", reason="the pictures need matplotlib")
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be. [that] is " * 40)
    done = nnkern(
        "train", "textgen", "--text", str(text), "--epochs", "1", "--hidden", "8", "--length", "30", "--prompt", "to",
        "--cell", "gru", "--json", "--out", str(tmp_path / "out"),
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["test_bits"] > 0, done.stderr
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"textgen.safetensors", "bits.png"}
    assert len(found["samples"]["0.6"]) == 32 and found["samples"]["0.6"] in done.stderr
    checkpoint = str(tmp_path / "out" / "textgen.safetensors")
    first, second = (
        nnkern("generate", checkpoint, "--prompt", "to", "--length", "50", "--seed", "3") for _ in range(2)
    )
    assert first.returncode == 0 and first.stdout == second.stdout and first.stdout.startswith("to")
    assert len(first.stdout) == 53 and "characters in" in first.stderr
    for args, message in (
        ((checkpoint, "--prompt", "Q"), "no 'Q'"),
        ((checkpoint, "--prompt", ""), "--prompt must not be empty"),
        ((str(tmp_path / "none"),), "No such file"),
        ((str(text),), "not a valid safetensors file"),
    ):
        done = nnkern("generate", *args)
        assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("prompt", ["", "Q"])
def test_a_prompt_is_refused_before_training(prompt, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be. " * 40)
    done = nnkern("train", "textgen", "--text", str(text), "--prompt", prompt, "--out", str(tmp_path / "out"))
    assert (
        done.returncode == 1 and ("--prompt must not be empty" if prompt == "" else "no 'Q'") in done.stderr
    )
    assert not list((tmp_path / "out").iterdir())


def test_texts_without_latin_letters_need_no_prompt(tmp_path):
    pytest.importorskip("matplotlib", reason="the pictures need matplotlib")
    text, out = tmp_path / "text.txt", tmp_path / "out"
    text.write_text("быть или не быть. " * 40, encoding="utf-8")
    small = ("--epochs", "1", "--hidden", "4", "--length", "5", "--json", "--out", str(out))
    done = nnkern("train", "textgen", "--text", str(text), *small)
    assert done.returncode == 0 and len(json.loads(done.stdout)["samples"]["0.6"]) == 6, done.stderr
    done = nnkern("generate", str(out / "textgen.safetensors"), "--length", "5")
    assert done.returncode == 0, done.stderr


def test_a_flat_series(tmp_path):
    pytest.importorskip("matplotlib", reason="the pictures need matplotlib")
    (tmp_path / "flat.csv").write_text("3\n" * 120)
    done = nnkern(
        "train", "timeseries", "--series", str(tmp_path / "flat.csv"), "--epochs", "1", "--out", str(tmp_path)
    )
    assert done.returncode == 0 and "naive" in done.stdout, done.stderr


def test_train_timeseries(tmp_path):
    pytest.importorskip("matplotlib", reason="the pictures need matplotlib")
    (tmp_path / "own.csv").write_text("".join(f"{2000 + i},{i % 7}\n" for i in range(120)))
    done = nnkern(
        "train", "timeseries", "--series", str(tmp_path / "own.csv"), "--history", "8", "--horizon", "2",
        "--epochs", "2", "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert done.returncode == 0 and "29 forecasts of 2 steps" in done.stdout, done.stderr
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"timeseries.safetensors", "forecast.png"}
    done = nnkern("train", "timeseries", "--series", str(tmp_path / "none.csv"), "--out", str(tmp_path))
    assert done.returncode == 1 and "none.csv" in done.stderr and "Traceback" not in done.stderr


def test_train_propensity(tmp_path):
    pytest.importorskip("sklearn", reason="the rival is scikit-learn's")
    pytest.importorskip("matplotlib", reason="the pictures need matplotlib")
    rows = [
        f"c{c},{d},{'order' if (c + d) % 5 == 0 else 'visit'},1"
        for c in range(40)
        for d in range(0, 40, 1 + c % 3)
    ]
    (tmp_path / "events.csv").write_text("\n".join(["customer,time,event,value", *rows]))
    done = nnkern(
        "train", "propensity", "--events", str(tmp_path / "events.csv"), "--within", "2", "--epochs", "1",
        "--hidden", "8", "--json", "--out", str(tmp_path / "out"),
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert done.returncode == 0 and set(found["auc"]) == {"GRU", "logistic regression"}, done.stderr
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "propensity.safetensors", "scores.csv", "calibration.png", "loss.png"
    }  # fmt: skip


def test_propensity_without_a_hit_in_the_test_part(tmp_path):
    pytest.importorskip("sklearn", reason="the rival is scikit-learn's")
    pytest.importorskip("matplotlib", reason="the pictures need matplotlib")
    rows = [
        f"c{c},{d},{'order' if d < 30 and (c + d) % 5 == 0 else 'visit'},1"
        for c in range(20)
        for d in range(40)
    ]
    (tmp_path / "events.csv").write_text("\n".join(["customer,time,event,value", *rows]))
    done = nnkern(
        "train", "propensity", "--events", str(tmp_path / "events.csv"), "--within", "2", "--epochs", "1",
        "--hidden", "4", "--json", "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert done.returncode == 0 and "NaN" not in done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["auc"] == {"GRU": None, "logistic regression": None} and found["history"][0]["auc"] is None


def test_without_the_extra_it_says_what_to_install():
    done = nnkern(code="import sys; sys.modules['typer'] = None; from nnkern.cli import main; main()")
    assert (
        done.returncode == 1 and "pip install 'nnkern[cli]'" in done.stderr and "Traceback" not in done.stderr
    )


@pytest.mark.parametrize(("name", "value"), [("NNKERN_ISA", "sse9"), ("NNKERN_NUM_THREADS", "many")])
def test_a_bad_variable_is_explained_in_a_line(name, value, tmp_path):
    script = tmp_path / "nnkern"
    script.write_text("from nnkern.cli import main\nmain()\n")
    for command in (["-m", "nnkern"], [str(script)]):
        done = subprocess.run(
            [sys.executable, *command, "info"],
            env={**os.environ, name: value},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1 and done.stderr.startswith(f"nnkern: {name}={value}: "), done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize(
    ("command", "option"), [("timeseries", "--series"), ("propensity", "--events")], ids=lambda v: v
)
def test_a_field_too_long_for_csv_is_named(command, option, header, tmp_path):
    pytest.importorskip("matplotlib", reason="the pictures need matplotlib")
    file = tmp_path / "long.csv"
    long = "x" * 200_000
    file.write_text(long if header else f"customer,time,event\na,1,order\na,2,{long}\n")
    done = nnkern("train", command, option, str(file), "--out", str(tmp_path / "out"))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"long.csv, line {1 if header else 3}: field larger than field limit (131072)" in done.stderr
