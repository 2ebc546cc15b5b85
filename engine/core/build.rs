//! Generates the wire's messages from `protos/`.

use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let protos = Path::new("../../protos");
    println!("cargo:rerun-if-changed={}", protos.display());
    let descriptors = protox::compile(
        [
            "fraudgate/v1/scoring.proto",
            "fraudgate/v1/rescore.proto",
            "fraudgate/v1/operation.proto",
            "fraudgate/v1/stream.proto",
        ],
        [protos],
    )?;
    prost_build::Config::new()
        .bytes(["."])
        .boxed(".fraudgate.v1.ScoreResult.result.decision")
        .boxed(".fraudgate.v1.ScoreStreamResponse.result.decision")
        .default_package_filename("fraudgate.v1")
        .compile_fds(descriptors)?;
    Ok(())
}
