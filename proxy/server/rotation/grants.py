"""The ACL of an object as header fields, for the copy that is to have the same one.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html
"""

from __future__ import annotations

from proxy.errors import S3Error
from proxy.s3.xml import Element

_GRANTEES = (("id", "ID"), ("uri", "URI"), ("emailAddress", "EmailAddress"))


def grant_fields(acl: Element) -> dict[str, str]:
    """Return the fields of an ACL, none for the usual one; raises `S3Error` for one that cannot be repeated."""
    owner, listed = acl.child("Owner"), acl.child("AccessControlList")
    if owner is None or listed is None:
        raise S3Error("ServiceUnavailable", detail="the upstream's ACL cannot be read")
    fields: dict[str, str] = {}
    usual = True
    for grant in listed.all("Grant"):
        grantee, permission = grant.child("Grantee"), grant.value("Permission") or ""
        found = [(kind, grantee.value(name)) for kind, name in _GRANTEES] if grantee is not None else []
        who = next((f'{kind}="{value}"' for kind, value in found if value), None)
        if who is None:
            raise S3Error("NotImplemented", detail="the object's ACL names somebody in a way that cannot be repeated")
        usual = usual and permission == "FULL_CONTROL" and who == f'id="{owner.value("ID")}"'
        name = f"x-amz-grant-{permission.lower().replace('_', '-')}"
        fields[name] = f"{fields[name]}, {who}" if name in fields else who
    return {} if usual else fields
