"""pyarrow: the AWS SDK for C++ inside Apache Arrow."""

from __future__ import annotations

import pyarrow
from pyarrow.fs import FileSelector, FileType, S3FileSystem

from tests.journeys.clients.journey import BODY, LARGE, MANY, ODD_KEYS, refused, same, target, walk


class PyArrow:
    def __init__(self) -> None:
        self.to = target()
        self.fs = S3FileSystem(
            access_key=self.to.access_key_id,
            secret_key=self.to.secret_access_key,
            region=self.to.region,
            scheme=self.to.scheme,
            endpoint_override=self.to.host,
            force_virtual_addressing=self.to.virtual,
            allow_bucket_creation=True,
            allow_bucket_deletion=True,
            tls_ca_file_path=self.to.authority_file,
        )
        self.bucket = self.to.bucket

    def at(self, key):
        return f"{self.bucket}/{key}"

    def put(self, key, body, **options):
        with self.fs.open_output_stream(self.at(key), compression=None, **options) as stream:
            stream.write(body)

    def body(self, key):
        with self.fs.open_input_file(self.at(key)) as file:
            return file.read()

    def files(self, path):
        found = self.fs.get_file_info(FileSelector(path, recursive=True))
        return sorted(each.path for each in found if each.type is FileType.File)

    def make_bucket(self):
        self.fs.create_dir(f"{self.bucket}-made")
        same(self.fs.get_file_info(f"{self.bucket}-made").type, FileType.Directory)
        self.fs.delete_dir(f"{self.bucket}-made")

    def put_and_get(self):
        self.put("plain", BODY)
        same(self.body("plain"), BODY)

    def head(self):
        same(self.fs.get_file_info(self.at("plain")).size, len(BODY))
        same(self.fs.get_file_info(self.at("missing")).type, FileType.NotFound)

    def ranges(self):
        with self.fs.open_input_file(self.at("plain")) as file:
            same(file.read_at(9, 1), BODY[1:10])

    def empty(self):
        self.put("empty", b"")
        same(self.body("empty"), b"")

    def odd_keys(self):
        for key in ODD_KEYS:
            self.put(key, key.encode())
        same(self.files(self.at("odd")), sorted(self.at(key) for key in ODD_KEYS))
        for key in ODD_KEYS:
            same(self.body(key), key.encode())

    def pages(self):
        same(len(self.files(f"{self.to.listed}/many")), MANY)

    def multipart(self):
        self.put("parts", LARGE)
        same(self.body("parts"), LARGE)

    def copy(self):
        self.fs.copy_file(self.at(ODD_KEYS[1]), self.at("copy"))
        same(self.body("copy"), ODD_KEYS[1].encode())

    def denied(self):
        with refused():
            self.put("strict/denied", BODY)

    def delete(self):
        self.fs.delete_file(self.at("plain"))
        same(self.fs.get_file_info(self.at("plain")).type, FileType.NotFound)

    def delete_batch(self):
        self.fs.delete_dir_contents(self.bucket)
        same(self.files(self.bucket), [])


if __name__ == "__main__":
    lacks = {
        "metadata": "keeps none of the user's",
        "tags": "has no call for them",
        "presigned_get": "makes no links",
        "presigned_put": "makes no links",
        "conforming": "cannot ask for encryption",
        "sync": "a library",
    }
    walk(PyArrow(), pyarrow.__version__, lacks)
