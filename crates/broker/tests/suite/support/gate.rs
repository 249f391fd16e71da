//! An answer that is ready and does not arrive until a test lets it.

use tokio::sync::oneshot;

/// The test's end.
#[derive(Debug)]
pub(crate) struct Held {
    reached: oneshot::Receiver<()>,
    go: oneshot::Sender<()>,
}

impl Held {
    /// Waits until somebody stands at it.
    pub(crate) async fn reached(&mut self) {
        (&mut self.reached).await.expect("the answer is held");
    }

    pub(crate) fn release(self) {
        // An error says that whoever waited is gone.
        self.go.send(()).ok();
    }
}

/// The other end.
#[derive(Debug)]
pub(crate) struct Gate {
    reached: oneshot::Sender<()>,
    go: oneshot::Receiver<()>,
}

impl Gate {
    pub(crate) async fn wait(self) {
        self.reached.send(()).ok();
        self.go.await.ok();
    }
}

pub(crate) fn gate() -> (Held, Gate) {
    let (reached, is_reached) = oneshot::channel();
    let (go, may_go) = oneshot::channel();
    (Held { reached: is_reached, go }, Gate { reached, go: may_go })
}
