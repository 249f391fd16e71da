//! `attache demo`.
use crate::{
    Failure,
    cli::{Demo, Global},
    terminal::Terminal,
};
pub(crate) async fn run(_: &Demo, _: &Global, _: Terminal) -> Result<(), Failure> {
    Ok(())
}
