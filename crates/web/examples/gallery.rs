//! Every state of every page, written to files to look at: `gallery DIR`, then serve DIR.

#[path = "gallery/states.rs"]
mod states;

use std::{env, error::Error, fs, path::Path};

use attache_web::assets::{MARK, STYLE};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::args().nth(1).ok_or("say where to write the pages")?;
    let directory = Path::new(&directory);
    fs::create_dir_all(directory.join("ui/assets"))?;
    for asset in [&*STYLE, &*MARK] {
        fs::write(directory.join(asset.path.trim_start_matches('/')), asset.text)?;
    }
    for (name, page) in states::all() {
        fs::write(directory.join(format!("{name}.html")), page)?;
    }
    Ok(())
}
