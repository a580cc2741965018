"""What lies in a bucket, directory by directory."""

from lsd_experiments.arrays import patience
from lsd_experiments.arrays.patience import patiently
from lsd_experiments.arrays.s3 import Amazon
from lsd_experiments.errors import UserError


def directories_in_bucket(address: str) -> list[str]:
    """The names of the directories at ``address``, ``s3://bucket/path``; none if it is not there.

    :raises UserError: if it is of another kind, may not be listed, or its server is not reached
    """
    scheme, _, place = address.partition("://")
    if scheme != "s3":
        raise UserError(f"{address}: crops are looked for in directories and s3:// only. Name one of these")
    directory = place.strip("/")
    try:
        found = patiently(address, lambda: Amazon().files().ls(directory, detail=True), patience.PATIENCE)
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise UserError(f"{address}: its server does not list what is there. Name datasets on disk, or write the CSV by "
                        "hand") from error
    return sorted(entry["name"].rstrip("/").rpartition("/")[2] for entry in found if entry["type"] == "directory")
