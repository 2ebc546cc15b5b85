//! Which call it is, and whether its caller may.

use std::rc::Rc;

use bytes::Bytes;
use fraudgate_core::{admit, refusal::Refusal, transaction::Clock, wire};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use hyper::body::Incoming;
use tonic::{Code, Status, metadata::MetadataMap};

use super::{
    Shared, batch,
    health::{self, Watch},
    stats,
    stream::Answers,
    unary,
};
use crate::{
    grpc::{Messages, Reply, only_message, timeout, to_grpc},
    journal::clock,
    transport::{Allowed, Caller, Service},
};

/// The services.
pub struct Scoring(pub Rc<Shared>);

impl Scoring {
    /// Allows `Scoring`.
    pub const SCORING: Allowed = Allowed(1);
    /// Allows `Feedback`.
    pub const FEEDBACK: Allowed = Allowed(2);
    /// Allows `Operation`.
    pub const OPERATION: Allowed = Allowed(4);
}

enum Route {
    Score,
    ScoreBatch,
    ScoreStream,
    Report,
    Label,
    Erase,
    Stats,
    Check,
    Watch,
}

impl Route {
    fn of(path: &str) -> Option<Route> {
        match path {
            "/fraudgate.v1.Scoring/Score" => Some(Route::Score),
            "/fraudgate.v1.Scoring/ScoreBatch" => Some(Route::ScoreBatch),
            "/fraudgate.v1.Scoring/ScoreStream" => Some(Route::ScoreStream),
            "/fraudgate.v1.Feedback/Report" => Some(Route::Report),
            "/fraudgate.v1.Feedback/Label" => Some(Route::Label),
            "/fraudgate.v1.Operation/Erase" => Some(Route::Erase),
            "/fraudgate.v1.Operation/Stats" => Some(Route::Stats),
            "/grpc.health.v1.Health/Check" => Some(Route::Check),
            "/grpc.health.v1.Health/Watch" => Some(Route::Watch),
            _ => None,
        }
    }

    /// What a caller must be allowed. Whoever is authenticated may ask for health.
    fn needs(&self) -> Allowed {
        match self {
            Route::Score | Route::ScoreBatch | Route::ScoreStream => Scoring::SCORING,
            Route::Report | Route::Label => Scoring::FEEDBACK,
            Route::Erase | Route::Stats => Scoring::OPERATION,
            Route::Check | Route::Watch => Allowed::default(),
        }
    }
}

impl Service for Scoring {
    type Body = Reply;

    fn call(&self, caller: Rc<Caller>, request: Request<Incoming>) -> impl Future<Output = Response<Reply>> + use<> {
        let shared = self.0.clone();
        let route = self.route(&caller, &request);
        let by = deadline(&request);
        // Only the body is kept: the commonest call's future is small, and the rarer ones are boxed.
        let body = request.into_body();
        async move {
            let answer = match route {
                Ok(Route::Score) => score(shared, body, by).await,
                Ok(route) => Box::pin(answer(shared, caller, route, body, by)).await,
                Err(refused) => return *refused,
            };
            answer.unwrap_or_else(|refusal| Reply::status(&to_grpc(&refusal)))
        }
    }
}

impl Scoring {
    /// Which call it is, if its caller may; else what to say.
    fn route(&self, caller: &Caller, request: &Request<Incoming>) -> Result<Route, Box<Response<Reply>>> {
        if !is_grpc(request) {
            let mut response = Response::new(Reply::default());
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Box::new(response));
        }
        let status = match Route::of(request.uri().path()) {
            None => Status::unimplemented("there is no such method"),
            Some(route) if !caller.allowed.contains(route.needs()) => to_grpc(&Refusal::NotAllowed),
            Some(_) if is_compressed(request) => Status::with_metadata(
                Code::Unimplemented,
                "messages are taken uncompressed",
                MetadataMap::from_headers(HeaderMap::from_iter([ACCEPTED])),
            ),
            Some(route) => return Ok(route),
        };
        Err(Box::new(Reply::status(&status)))
    }
}

/// What a call is told that compresses its messages: nothing here is large enough to gain by it.
const ACCEPTED: (HeaderName, HeaderValue) = (
    HeaderName::from_static("grpc-accept-encoding"),
    HeaderValue::from_static("identity"),
);

fn is_compressed(request: &Request<Incoming>) -> bool {
    request
        .headers()
        .get("grpc-encoding")
        .is_some_and(|encoding| encoding != "identity")
}

fn is_grpc(request: &Request<Incoming>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE);
    content_type.is_some_and(|content_type| content_type.as_bytes().starts_with(b"application/grpc"))
}

async fn score(shared: Rc<Shared>, body: Incoming, by: Option<Clock>) -> Result<Response<Reply>, Refusal> {
    let message = only_message(body, shared.message_bytes).await?;
    Ok(Reply::message(&unary::score(shared, message, by).await?))
}

async fn answer(
    shared: Rc<Shared>,
    caller: Rc<Caller>,
    route: Route,
    body: Incoming,
    by: Option<Clock>,
) -> Result<Response<Reply>, Refusal> {
    let cap = shared.message_bytes;
    let only = |body| only_message(body, cap);
    Ok(match route {
        Route::Score => score(shared, body, by).await?,
        Route::ScoreBatch => Reply::message(&batch::score(shared, only(body).await?, by).await?),
        Route::ScoreStream => Reply::stream(Answers::new(shared, caller, Messages::new(body, cap), by)),
        Route::Report => Reply::message(&batch::report(shared, only(body).await?, by).await?),
        Route::Label => Reply::message(&batch::label(shared, only(body).await?, by).await?),
        Route::Erase => Reply::message(&unary::erase(shared, only(body).await?, by).await?),
        Route::Stats => {
            admit::decode::<wire::StatsRequest>(only(body).await?, "stats")?;
            let values = stats(&shared)
                .into_iter()
                .map(|(name, value)| (name.into_owned(), value));
            Reply::message(&wire::StatsResponse {
                values: values.collect(),
            })
        }
        Route::Check => match health::check(&service(only(body).await?)?, &shared.ready, &shared.leaving) {
            Some(health) => Reply::message(&health),
            None => Reply::status(&Status::not_found("there is no such service")),
        },
        Route::Watch => Reply::stream(Watch::new(service(only(body).await?)?, &shared, caller)),
    })
}

/// The service whose health is asked.
fn service(message: Bytes) -> Result<String, Refusal> {
    admit::decode::<health::Asked>(message, "service").map(|asked| asked.service)
}

/// When the caller stops waiting, where it says so. The clock is read only then.
fn deadline(request: &Request<Incoming>) -> Option<Clock> {
    let timeout = timeout(request.headers())?;
    let us = i64::try_from(timeout.as_micros()).unwrap_or(i64::MAX);
    Some(Clock(clock().0.saturating_add(us)))
}
