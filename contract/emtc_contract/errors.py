"""The error tree that every part shares.

::

    EmtcError                 any failure a user should read as one line
    +-- InputError            what was handed in cannot be used (exit 2)
    |   +-- CaptureError      not a capture, or its header is broken
    |   +-- SchemaError      unknown schema, or two schemas that do not match
    |   +-- BundleError       a bundle that is damaged, foreign or does not fit
    |   +-- MessageError      a payload or topic that does not follow the contract
    |   +-- FeatureFileError  a feature file that cannot be read or written
    +-- RuntimeMissingError   no inference runtime is installed (exit 3)
    +-- LinkError             the broker refused or cannot be reached (exit 4)
    +-- LabError              the lab cannot be built on this machine (exit 5)

Each message says what is wrong and where; command-line programs print it as one line
on stderr and end with ``exit_code``.
"""


class EmtcError(Exception):
    """Any failure a user should read as one line."""

    exit_code = 1


class InputError(EmtcError):
    """What was handed in cannot be used."""

    exit_code = 2


class CaptureError(InputError):
    """Not a capture, or a capture whose file header is broken."""


class SchemaError(InputError):
    """An unknown feature schema, or two schemas that do not match."""


class BundleError(InputError):
    """A bundle that is damaged, foreign, or does not fit its use."""


class MessageError(InputError):
    """A payload or topic that does not follow the contract."""


class FeatureFileError(InputError):
    """A feature file that cannot be read or written."""


class RuntimeMissingError(EmtcError):
    """No inference runtime is installed."""

    exit_code = 3


class LinkError(EmtcError):
    """The broker refused the connection or cannot be reached."""

    exit_code = 4


class LabError(EmtcError):
    """The lab cannot be built on this machine."""

    exit_code = 5
