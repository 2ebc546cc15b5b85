"""How a client connects: mutual TLS, keep-alive, quick reconnects, bounded retries. The same for both clients."""

import json
import os
from pathlib import Path
from typing import Final, TypeAlias

import grpc

Pem: TypeAlias = str | os.PathLike[str] | bytes
"""The path of a PEM file, or its content as bytes."""

ATTEMPTS: Final = 4
"""How often one call is made at most: once, and three retries."""

# A stream is not retried here: it has to resend exactly what was not answered (see stream.py).
_SERVICE_CONFIG: Final = json.dumps(
    {
        "methodConfig": [
            {
                "name": [
                    {"service": "fraudgate.v1.Scoring", "method": "Score"},
                    {"service": "fraudgate.v1.Scoring", "method": "ScoreBatch"},
                    {"service": "fraudgate.v1.Feedback"},
                ],
                "retryPolicy": {
                    "maxAttempts": ATTEMPTS,
                    "initialBackoff": "0.02s",
                    "maxBackoff": "0.5s",
                    "backoffMultiplier": 2,
                    # RESOURCE_EXHAUSTED is not here: whether it passes is in its details (see Client).
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
        # When more than a tenth of the calls fail, retries stop: they would only add to what is wrong.
        "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
    }
)


def credentials(ca: Pem, certificate: Pem, key: Pem) -> grpc.ChannelCredentials:
    """Trusts `ca` alone, and shows `certificate`. Raises OSError where a file cannot be read."""
    return grpc.ssl_channel_credentials(
        root_certificates=_content(ca), private_key=_content(key), certificate_chain=_content(certificate)
    )


def options(server_name: str | None) -> list[tuple[str, str | int]]:
    """Channel options; `server_name` is the name that the scorer's certificate holds, where the target is another."""
    chosen: list[tuple[str, str | int]] = [
        ("grpc.service_config", _SERVICE_CONFIG),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.enable_retries", 1),
        # A dead peer is found within 15 s, also between calls.
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # A scorer that restarts is back in seconds; waiting minutes, as by default, would leave payments unscored.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 5_000),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        # A batch of 1,024 decisions with every field set.
        ("grpc.max_receive_message_length", 16 << 20),
    ]
    if server_name is not None:
        chosen += [("grpc.ssl_target_name_override", server_name), ("grpc.default_authority", server_name)]
    return chosen


def _content(pem: Pem) -> bytes:
    return pem if isinstance(pem, bytes) else Path(pem).read_bytes()
