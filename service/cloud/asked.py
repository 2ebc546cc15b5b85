"""Answers PoPs that ask at once, while a caller waits: gRPC over mutual TLS, to the PoPs that are allowed.

A question is read, scored and told by what reads, scores and tells the batches of topics; nothing is kept of it,
because the same transaction comes by the topic too.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc

from service.cloud import columns, config
from service.cloud.columns import Malformed
from service.cloud.teacher import Teacher, Teachers, answers
from service.pems import Pems

_SERVICE: Final = "fraudgate.v1.Rescoring"
_GOODBYE_S: Final = 2.0
# Questions that wait for a thread, for each that has one: more would only wait longer than their callers do.
_WAITING: Final = 64


class Asked:
    """The service. Begun by `start`; answers until `stop`."""

    def __init__(self, asked: config.Asked, teachers: Mapping[str, Teacher]) -> None:
        self._teachers = Teachers(teachers)
        self._allow = frozenset(asked.allow)
        self._listen = asked.listen
        self._pems = Pems(asked.certificate, asked.key, asked.client_ca)
        # Asked for each connection that comes.
        self._credentials = grpc.dynamic_ssl_server_credentials(self._shown(), self._shown, True)
        self._server = grpc.server(
            ThreadPoolExecutor(asked.threads, "asked"),
            maximum_concurrent_rpcs=asked.threads * _WAITING,
            options=[("grpc.so_reuseport", 0)],
        )
        # Raw bytes in and out: columns are read and written by what does so for topics.
        rescore: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self._rescore)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"Rescore": rescore}),))

    def _shown(self) -> grpc.ServerCertificateConfiguration:
        """What connections are met with that come now: certificates may be renewed."""
        self._pems.have_changed()
        content = self._pems.content
        return grpc.ssl_server_certificate_configuration([(content.key, content.certificate)], content.ca)

    def start(self) -> int:
        """Listens from now on; gives the port. Raises RuntimeError where the address cannot be had."""
        port = self._server.add_secure_port(self._listen, self._credentials)
        self._server.start()
        return int(port)

    def stop(self) -> None:
        """Answers what is under way, and no more."""
        self._server.stop(_GOODBYE_S).wait()

    def _rescore(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        # The stubs say bytes; it is a list of them.
        told: Mapping[str, Any] = context.auth_context()
        # The library cannot be told to speak nothing older.
        if told.get("ssl_tls_version") != [b"TLSv1.3"]:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "TLS 1.3 is spoken here")
        if not self._allow & identities(told):
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "the identity is not allowed")
        try:
            return self.answer(request)
        except Malformed as refused:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(refused))

    def answer(self, request: bytes) -> bytes:
        """The RescoredDecisions to a RescoreRequest. Raises Malformed."""
        requests = columns.read(request)
        teacher = self._teachers.of(requests.head)
        if len(requests) == 0:
            raise Malformed("sequence: there is no row")
        if requests.rows.shape[1] != len(teacher.features):
            raise Malformed("features: are not as many as the plan has")
        probability, risk = teacher.score(requests.rows)
        return columns.write(requests, answers(probability, risk, requests.head.thresholds), teacher.digest)


def identities(told: Mapping[str, Any]) -> frozenset[str]:
    """The alternative names of a caller's certificate, as `dns:`, `uri:` and `email:`, of what its context tells."""
    kinds = {"peer_dns": "dns", "peer_uri": "uri", "peer_email": "email"}
    return frozenset(
        f"{kind}:{name.decode(errors='replace')}" for key, kind in kinds.items() for name in told.get(key, [])
    )
