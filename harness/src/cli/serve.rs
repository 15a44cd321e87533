//! `harness serve`: the results of many runs and campaigns, in a browser.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use harness::browse::catalogue::Reader;
use harness::browse::server::Server;
use harness::results::EXIT_USAGE;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Show a folder of results in a browser: runs and campaigns, what is wrong now, trends, two runs side by side.
///
/// Prints the address, and answers until Ctrl-C or SIGTERM. Nothing in the folder is changed, so campaigns can go on in it. Each page
/// is made from the folder as it is then; a folder that cannot be read is listed with the reason.
///
/// Exit code: 0 when it was ended, 64 when there is no such folder, 254 when it could not listen.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder of results: runs and campaigns, however deep.
    #[arg(default_value = "results")]
    folder: PathBuf,
    /// Where to listen. Port 0 takes any that is free.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7900")]
    listen: SocketAddr,
    /// A name that browsers reach it by, besides addresses and localhost. Requests for other names are refused.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let reader = match Reader::new(&args.folder) {
        Ok(reader) => reader,
        Err(error) => {
            eprintln!("harness: {}: {error}", args.folder.display());
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let served = runtime.block_on(serve(args, reader));
    // A file that is being read for a client that is gone.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served.map(|()| ExitCode::SUCCESS)
}

async fn serve(args: &Args, reader: Reader) -> Result<(), Box<dyn Error>> {
    // Before the address is printed: whatever ends the server then ends it in order.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let server = Server::bind(reader, args.listen, &args.host)
        .await
        .map_err(|error| format!("{}: {error}", args.listen))?;
    let address = server.address();
    println!("http://{address}/");
    std::io::stdout().flush()?;
    let shown = args.folder.display();
    eprintln!("harness: {shown} can be seen there until Ctrl-C");
    if !address.ip().is_loopback() {
        eprintln!("harness: everyone who reaches {address} can read it");
    }
    let (sender, stop) = watch::channel(false);
    let ended = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // The server may have ended already.
        let _ = sender.send(true);
    };
    tokio::join!(server.run(stop), ended);
    Ok(())
}
