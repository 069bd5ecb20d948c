"""The errors of the house: one base per audience.

`S3Error` is for S3 clients and carries AWS's own codes; `ConfigError` is for the person who wrote a
file; `IntegrityError` is for stored bytes that are not what they should be. The code table is the
only place that says which HTTP status belongs to which code.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from proxy.diagnostics import Diagnostic, render_all

CODES: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "AccessDenied": (403, "Access Denied"),
        "AuthorizationHeaderMalformed": (400, "The authorization header you provided is invalid."),
        "AuthorizationQueryParametersError": (
            400,
            "The authorization query parameters that you provided are not valid.",
        ),
        "BadDigest": (400, "The Content-MD5 or checksum value that you specified did not match what we received."),
        "BadRequest": (400, "The request could not be understood."),
        "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed size."),
        "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed size."),
        "ExpiredToken": (400, "The provided token has expired."),
        "IncompleteBody": (
            400,
            "You did not provide the number of bytes specified by the Content-Length HTTP header.",
        ),
        "IncorrectNumberOfFilesInPostRequest": (400, "POST requires exactly one file upload per request."),
        "InternalError": (500, "We encountered an internal error. Please try again."),
        "InvalidAccessKeyId": (403, "The AWS access key ID that you provided does not exist in our records."),
        "InvalidArgument": (400, "Invalid Argument"),
        "InvalidBucketName": (400, "The specified bucket is not valid."),
        "InvalidChunkSizeError": (400, "Only the last chunk is allowed to have a size less than 8192 bytes"),
        "InvalidDigest": (400, "The Content-MD5 you specified is not valid."),
        "InvalidPart": (400, "One or more of the specified parts could not be found."),
        "InvalidPartNumber": (416, "The requested partnumber is not satisfiable"),
        "InvalidPartOrder": (400, "The list of parts was not in ascending order."),
        "InvalidPolicyDocument": (400, "The content of the form does not meet the conditions of the policy document."),
        "InvalidRange": (416, "The requested range cannot be satisfied."),
        "InvalidRequest": (400, "Invalid Request"),
        "InvalidTag": (400, "The tag provided was not a valid tag."),
        "InvalidToken": (400, "The provided token is malformed or otherwise not valid."),
        "InvalidURI": (400, "The specified URI could not be parsed."),
        "KMS.DisabledException": (400, "The request was rejected because the specified KMS key is not enabled."),
        "KMS.KMSInvalidStateException": (
            400,
            "The request was rejected because the state of the specified KMS key is not valid for this request.",
        ),
        "KMS.NotFoundException": (400, "The request was rejected because the specified KMS key could not be found."),
        "KeyTooLongError": (400, "Your key is too long."),
        "MalformedPOSTRequest": (400, "The body of your POST request is not well-formed multipart/form-data."),
        "MalformedTrailerError": (400, "The request contained trailing data that was not well-formed."),
        "MalformedXML": (400, "The XML that you provided was not well formed or did not validate against our schema."),
        "MaxMessageLengthExceeded": (400, "Your request was too large."),
        "MaxPostPreDataLengthExceededError": (
            400,
            "Your POST request fields preceding the upload file were too large.",
        ),
        "MetadataTooLarge": (400, "Your metadata headers exceed the maximum allowed metadata size."),
        "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
        "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
        "MissingRequestBodyError": (400, "Request Body is empty"),
        "NoSuchBucket": (404, "The specified bucket does not exist"),
        "NoSuchKey": (404, "The specified key does not exist."),
        "NoSuchUpload": (404, "The specified upload does not exist."),
        "NoSuchVersion": (404, "The specified version does not exist."),
        "NotImplemented": (501, "A header you provided implies functionality that is not implemented."),
        "OperationAborted": (
            409,
            "A conflicting conditional operation is currently in progress against this resource. Try again.",
        ),
        "PreconditionFailed": (412, "At least one of the preconditions you specified did not hold."),
        "RequestHeaderSectionTooLarge": (400, "Your request header section exceeds the maximum allowed size."),
        "RequestIsNotMultiPartContent": (412, "Bucket POST must be of the enclosure-type multipart/form-data."),
        "RequestTimeTooSkewed": (
            403,
            "The difference between the request time and the server's time is too large.",
        ),
        "RequestTimeout": (
            400,
            "Your socket connection to the server was not read from or written to within the timeout period.",
        ),
        "ServiceUnavailable": (503, "Service is unable to handle request."),
        "SignatureDoesNotMatch": (
            403,
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
        ),
        "SlowDown": (503, "Please reduce your request rate."),
        "XAmzContentSHA256Mismatch": (
            400,
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        ),
    }
)


class S3Error(Exception):
    """An answer to an S3 client that is an error.

    `code` must be in `CODES`; `extras` become elements of the XML in their order (`Region`,
    `HeadersNotSigned`, ...); `headers` are added to the HTTP response; `close` asks for the connection
    to be closed after the answer, because what follows on it cannot be trusted to be a request.
    `detail` is for the log only and never reaches the client.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        extras: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        close: bool = False,
        detail: str = "",
    ) -> None:
        self.status, default = CODES[code]
        self.code = code
        self.message = message or default
        self.extras: Mapping[str, str] = extras or {}
        self.headers: Mapping[str, str] = headers or {}
        self.close = close
        self.detail = detail
        super().__init__(f"{code}: {self.message}")


class ConfigError(Exception):
    """A file a person wrote cannot be used; carries every finding, each with its position."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(render_all(self.diagnostics))


class IntegrityError(Exception):
    """Stored bytes failed verification. `where` is a short label fit for a metric, such as `frame`."""

    def __init__(self, where: str, message: str) -> None:
        self.where = where
        super().__init__(message)
