//! The folder `packaging`, held to what its readers know: each package is linted, rendered or built,
//! and the program reads each configuration that ships.

mod configurations;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use self::tools::Tools;
use crate::terminal::say;
use crate::{deps, run, workspace};

/// The Kubernetes that the chart says it needs, and the newest that is known here.
const KUBERNETES: [&str; 2] = ["1.30.0", "1.37.0"];

/// What `systemd-analyze security` may find at most, in tenths: 100 is a service without any hardening.
const EXPOSURE: &str = "15";

/// What distroless/cc has: a program that needs more does not start there.
const DISTROLESS: [&str; 4] = ["ld-linux-x86-64.so.2", "libc.so.6", "libgcc_s.so.1", "libm.so.6"];

/// Checks everything with the program that `cargo build --release` made.
pub(crate) fn check() -> Result<()> {
    let kit = Kit::provide()?;
    kit.image()?;
    kit.compose()?;
    kit.chart()?;
    kit.unit()?;
    kit.debian()?;
    kit.observability()
}

/// What the checks work with.
struct Kit {
    packaging: PathBuf,
    /// What they write; empty at first.
    scratch: PathBuf,
    attache: PathBuf,
    tools: Tools,
}

impl Kit {
    fn provide() -> Result<Self> {
        let packaging = workspace::root().join("packaging");
        let target = deps::target_directory()?;
        let attache = target.join("release").join("attache");
        if !attache.exists() {
            bail!("there is no {}: cargo build --release", attache.display());
        }
        let home = target.join("packaging");
        let tools = Tools::install(&home, &packaging.join("requirements.txt"))?;
        let scratch = home.join("scratch");
        if scratch.exists() {
            fs::remove_dir_all(&scratch)?;
        }
        fs::create_dir_all(&scratch)?;
        Ok(Self { packaging, scratch, attache, tools })
    }

    fn image(&self) -> Result<()> {
        run::loudly(self.tools.program("hadolint").arg(self.packaging.join("docker/Dockerfile")))?;
        let dynamic = run::quietly(Command::new("readelf").arg("--dynamic").arg(&self.attache))?;
        let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
        let strangers: Vec<&str> =
            needed.filter(|line| !DISTROLESS.iter().any(|name| line.contains(name))).collect();
        if !strangers.is_empty() {
            bail!("the image's base does not have {}", strangers.join("\n"));
        }
        say("image: hadolint found nothing; the base has every library that the program needs");
        Ok(())
    }

    fn compose(&self) -> Result<()> {
        let folder = self.packaging.join("compose");
        run::quietly(
            self.tools
                .program("check-jsonschema")
                .args(["--builtin-schema", "vendor.compose-spec"])
                .arg(folder.join("compose.yaml")),
        )?;
        let copy = self.scratch.join("compose");
        fs::create_dir(&copy)?;
        fs::copy(folder.join("make-secrets.sh"), copy.join("make-secrets.sh"))?;
        run::quietly(Command::new("sh").arg("-n").arg(copy.join("make-secrets.sh")))?;
        run::quietly(Command::new("sh").arg(copy.join("make-secrets.sh")))?;
        fs::write(copy.join("secrets").join("idp-secret"), "hunter2\n")?;
        let text = fs::read_to_string(folder.join("attache.toml"))?;
        let secrets = copy.join("secrets").display().to_string();
        let text = text.replace("/run/secrets", &secrets);
        configurations::read(&self.attache, &copy.join("attache.toml"), &text)?;
        say("compose: as the Compose specification wants it; the program reads its configuration");
        Ok(())
    }

    fn chart(&self) -> Result<()> {
        let rendered = self.scratch.join("chart");
        let script = self.packaging.join("helm").join("render.py");
        run::loudly(self.tools.program("python").arg(script).arg(&rendered))?;
        let mut manifests = yaml_files(&rendered)?;
        let configuration = rendered.join("attache.yaml");
        manifests.retain(|file| *file != configuration);
        for version in KUBERNETES {
            let mut validate = self.tools.program("kubernetes-validate");
            run::quietly(validate.args(["--strict", "-k", version]).args(&manifests))?;
        }
        configurations::make_secrets(&self.attache, &rendered.join("secrets"))?;
        let text = fs::read_to_string(&configuration)?;
        configurations::read(&self.attache, &configuration, &text)?;
        say("chart: Helm lints and renders it; Kubernetes' schemas and the program accept that");
        Ok(())
    }

    fn unit(&self) -> Result<()> {
        let folder = self.packaging.join("systemd");
        let unit = fs::read_to_string(folder.join("attache.service"))?;
        let copy = self.scratch.join("attache.service");
        fs::write(&copy, unit.replace("/usr/bin/attache", &self.attache.display().to_string()))?;
        run::quietly(Command::new("systemd-analyze").arg("verify").arg(&copy))?;
        run::quietly(
            Command::new("systemd-analyze")
                .args(["security", "--no-pager", "--offline=yes"])
                .arg(format!("--threshold={EXPOSURE}"))
                .arg(&copy),
        )?;
        let copy = self.scratch.join("systemd");
        configurations::make_secrets(&self.attache, &copy.join("secrets"))?;
        let text = fs::read_to_string(folder.join("attache.toml"))?;
        configurations::read(&self.attache, &copy.join("attache.toml"), &text)?;
        say(
            "systemd: the unit is in order and exposes little; the program reads its configuration",
        );
        Ok(())
    }

    fn debian(&self) -> Result<()> {
        let folder = self.scratch.join("debian");
        let build = self.packaging.join("debian").join("build.sh");
        run::quietly(Command::new(build).arg(&self.attache).arg(&folder))?;
        let package = fs::read_dir(&folder)?.next().context("a package")??.path();
        run::quietly(Command::new("lintian").args(["--fail-on", "error,warning"]).arg(&package))?;
        let root = folder.join("root");
        run::quietly(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&root))?;
        let version = run::quietly(Command::new(root.join("usr/bin/attache")).arg("--version"))?;
        say(&format!("debian: lintian found nothing; in the package is {}", version.trim()));
        Ok(())
    }

    fn observability(&self) -> Result<()> {
        let folder = self.packaging.join("observability");
        let queries = self.scratch.join("queries.yaml");
        run::loudly(self.tools.program("python").arg(folder.join("check.py")).arg(&queries))?;
        let promtool = |words: [&str; 2], file: &Path| {
            let mut promtool = Command::new("promtool");
            run::quietly(promtool.args(words).arg(file).current_dir(&folder))
        };
        promtool(["check", "rules"], &queries)?;
        promtool(["check", "config"], Path::new("prometheus.yaml"))?;
        promtool(["test", "rules"], Path::new("alerts.test.yaml"))?;
        say("observability: Grafana's types read the dashboard; the alerts fire when they should");
        Ok(())
    }
}

fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut files = entries.collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    Ok(files)
}
