//! A few sessions of one node, and whatever their clients and the application do to them: what each client gets is
//! frames as they should be, in the order in which they were sent, up to one legal close frame, and when all is over
//! nothing is left of anybody.

mod client;
mod script;
mod stage;

use tokio::runtime;

use self::{script::Script, stage::Stage};

pub fn check(bytes: &[u8]) {
    let Ok(script) = Script::read(bytes) else { return };
    let runtime = runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut stage = Stage::new(&script).await;
        for act in &script.acts {
            stage.play(act).await;
        }
        stage.end().await;
    });
}
