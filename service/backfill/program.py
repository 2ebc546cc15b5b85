"""What history is taken through: a program as it is served, or a plan alone, whose features are all that is asked."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import engine
from features import CompiledPlan

if TYPE_CHECKING:
    from service.config import Config

KNOWN_IDS: Final = 262_144
# A plan alone has no model: every transaction is answered by a default, and the answer is not looked at.
_NO_MODEL: Final = json.dumps(
    {"card_number_in_key": "hash", "default": {"segments": [], "verdict": "challenge"}, "format": 1, "mode": "observe"},
    sort_keys=True,
    separators=(",", ":"),
).encode()


@dataclass(frozen=True)
class Program:
    """A program as its files hold it.

    complete_since_us: what happened through this moment is unknown; None: nothing happened before the input begins.
    hash_key: 32 secret bytes; None: drawn for the job, and kept beside its output until it is done.
    """

    name: str
    plan: CompiledPlan
    policy: bytes
    model: tuple[bytes, bytes] | None
    reduced: bytes | None
    hash_key: bytes | None
    known_ids: int
    complete_since_us: int | None

    def door(
        self, mapping: "engine.Mapping", begins_us: int, score_from_us: int, drawn_key: bytes
    ) -> "engine.Backfill":
        """An engine with nothing in its state. begins_us: when the input begins."""
        return engine.Backfill(
            self.name,
            self.plan.json,
            self.policy,
            mapping,
            self.hash_key or drawn_key,
            model=self.model,
            reduced=self.reduced,
            onnxruntime=str(engine.onnxruntime_library()),
            complete_since_us=self.since_us(begins_us),
            known_ids=self.known_ids,
            score_from_us=score_from_us,
        )

    def since_us(self, begins_us: int) -> int:
        """What happened through this moment is unknown. begins_us: when the input begins."""
        return begins_us - 1 if self.complete_since_us is None else self.complete_since_us

    def caps(self) -> bool:
        """Whether what its default approves is counted, and capped."""
        return "cap_minor" in (json.loads(self.policy).get("default") or {})

    def stated(self) -> dict[str, str]:
        """What answers are a function of, beside inputs and state: by name."""
        model = "" if self.model is None else hashlib.sha256(self.model[0]).hexdigest()
        return {
            "program": self.name,
            "plan_digest": self.plan.digest,
            "policy_digest": hashlib.sha256(self.policy).hexdigest(),
            "model_digest": model,
        }


def served(config: "Config", name: str | None, bundle: Path | None = None) -> Program:
    """The program of a configuration, as its server has it, or with another bundle as its model.

    Raises ValueError where it does not say which, and where nothing can be answered.
    """
    # What starts a server brings the client and its logs, which a plan alone does without.
    from service import serving

    if name is None and len(config.program) == 1:
        (name,) = config.program
    if name is None or name not in config.program:
        raise ValueError(f"say which program by --program: {', '.join(sorted(config.program))}")
    program = config.program[name]
    model = reduced = None
    bundle = bundle or program.model
    if bundle is not None:
        model = (bundle / serving.MANIFEST).read_bytes(), (bundle / serving.MODEL).read_bytes()
        if (bundle / serving.REDUCED_MODEL).exists():
            reduced = (bundle / serving.REDUCED_MODEL).read_bytes()
    elif program.default is None:
        raise ValueError(f"program.{name} has no model and declares no default: nothing can be answered")
    stated = None if program.complete_since is None else serving.complete_since_us(program)
    return Program(
        name=name,
        plan=_compiled(program.plan),
        policy=serving.policy(program),
        model=model,
        reduced=reduced,
        hash_key=bytes.fromhex(config.keys.hash_key.read_text().strip()),
        known_ids=config.server.known_ids,
        complete_since_us=stated,
    )


def planned(plan: CompiledPlan, complete_since_us: int | None) -> Program:
    """A plan alone."""
    name: str = json.loads(plan.json)["name"]
    return Program(name, plan, _NO_MODEL, None, None, None, KNOWN_IDS, complete_since_us)


def _compiled(path: Path) -> CompiledPlan:
    compiled = path.read_bytes()
    return CompiledPlan(compiled, tuple(feature["name"] for feature in json.loads(compiled)["features"]))
