"""Values that a configuration holds, and that cannot be wrong: paths, addresses, identities."""

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from service.files import open_to_others

HIGHEST_RISK: Final = 100.0


class ConfigError(ValueError):
    """The configuration cannot be used; one line for each thing that is wrong."""


def path_of(value: Any, info: ValidationInfo) -> Path:
    """Relative paths start at the configuration file's folder, wherever the process was started."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value:
        raise ValueError("is not a path")
    return Path(info.context["folder"], value) if info.context else Path(value)


def _file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"there is no folder {path}")
    return path


def _private(path: Path) -> Path:
    if open_to_others(path):
        raise ValueError(f"others than its owner may read or change {path}; run: chmod 600 {path}")
    return path


def _secret(path: Path) -> Path:
    if not re.fullmatch(rb"[0-9a-fA-F]{64}\s*", path.read_bytes()):
        raise ValueError(f"{path} does not hold 64 hexadecimal digits; fraudgate certs makes one")
    return path


def _address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("is not host:port, with a port of at most 65535 (0 takes a free one)")
    return value


def _ahead(value: Any) -> float | None:
    if value == "unbounded":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise ValueError('is neither a number of seconds nor "unbounded"')
    return float(value)


def _identity(value: str) -> str:
    if not re.fullmatch(r"(dns|uri|email):[^\s]+", value):
        raise ValueError("is not the alternative name of a client's certificate: dns:, uri: or email: and the name")
    return value


def _mcc(value: str) -> str:
    if not re.fullmatch("[0-9]{4}", value):
        raise ValueError("is not a merchant category code of four digits")
    return value


def _with_offset(value: datetime) -> datetime:
    if value.utcoffset() is None:
        raise ValueError("has no offset from UTC")
    return value


ReadableFile = Annotated[Path, BeforeValidator(path_of), AfterValidator(_file)]
PrivateFile = Annotated[Path, BeforeValidator(path_of), AfterValidator(_file), AfterValidator(_private)]
ReadableFolder = Annotated[Path, BeforeValidator(path_of), AfterValidator(_folder)]
SecretFile = Annotated[PrivateFile, AfterValidator(_secret)]
NewFolder = Annotated[Path, BeforeValidator(path_of)]
Address = Annotated[str, AfterValidator(_address)]
IdentityName = Annotated[str, AfterValidator(_identity)]
MerchantCategory = Annotated[str, AfterValidator(_mcc)]
Ahead = Annotated[float | None, BeforeValidator(_ahead)]
Instant = Annotated[datetime, AfterValidator(_with_offset)]
Threshold = Annotated[float, Field(ge=0, le=HIGHEST_RISK)]


class Section(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)
