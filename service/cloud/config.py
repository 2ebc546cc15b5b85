"""What the cloud is configured with: one TOML file. Relative paths start at its folder."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError

from service.config import Broker
from service.config_file import ConfigError
from service.config_values import Address, IdentityName, PrivateFile, ReadableFile, ReadableFolder, Section, path_of


class Topics(Section):
    """`[topics]`: what is read, and where answers go."""

    requests: str = Field("fraudgate.rescore", examples=['"fraudgate.rescore"'])
    decisions: str = Field("fraudgate.rescored", examples=['"fraudgate.rescored"'])


class LakeSection(Section):
    """`[lake]`: where rows are kept for training, and how many together."""

    folder: Annotated[Path, BeforeValidator(path_of)] = Field(examples=['"lake"'], description="made when absent")
    rows: int = Field(
        1 << 18, ge=1, le=1 << 24, examples=["262144"], description="a part is written at the latest then"
    )
    seconds: float = Field(60.0, gt=0, le=3600, examples=["60"], description="or when a row waited so long")


class Asked(Section):
    """`[asked]`: where PoPs ask at once, over mutual TLS, and which of them may."""

    listen: Address = Field(examples=['"0.0.0.0:7444"'])
    certificate: ReadableFile = Field(examples=['"certificates/cloud.example.pem"'])
    key: PrivateFile = Field(examples=['"certificates/cloud.example.key"'])
    client_ca: ReadableFile = Field(examples=['"certificates/ca.pem"'])
    allow: list[IdentityName] = Field(
        min_length=1, examples=['["dns:ams1.example"]'], description="what the PoPs' certificates are of"
    )
    threads: int = Field(4, ge=1, le=256, examples=["4"], description="questions that are answered at a time")


class Program(Section):
    """`[program.<name>]`: whose teacher scores the program."""

    bundle: ReadableFolder = Field(examples=['"model"'], description="a bundle that fraudgate train made")
    digest: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="the bundle's digest, to pin it")


class CloudConfig(Section):
    """The whole file."""

    broker: Broker
    topics: Topics = Topics(requests="fraudgate.rescore", decisions="fraudgate.rescored")
    lake: LakeSection
    asked: Asked | None = Field(None, description="without it, nothing is answered but by topic")
    program: dict[str, Program] = Field(min_length=1)


def read(path: Path) -> CloudConfig:
    """The configuration in `path`. Raises ConfigError: one line for each thing that is wrong."""
    try:
        return CloudConfig.model_validate(tomllib.loads(path.read_text()), context={"folder": path.parent})
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from None
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        told = [f"{path}: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found]
        raise ConfigError("\n".join(told)) from None
