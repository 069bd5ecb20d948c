// What a program with the AWS SDK for JavaScript does, told as lines of "name: outcome".
import {
  CreateBucketCommand, DeleteObjectsCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const s3 = new S3Client({ endpoint: process.env.ENDPOINT, region: "us-east-1", forcePathStyle: true, maxAttempts: 1 });
const Bucket = "js-journey";
const ServerSideEncryption = "AES256";
const say = (name, outcome) => console.log(`${name}: ${outcome}`);
const refused = (promise) => promise.then(() => "allowed", (error) => `${error.name} ${error.$metadata.httpStatusCode}`);

await s3.send(new CreateBucketCommand({ Bucket }));
const body = "grüße ".repeat(20000);
await s3.send(new PutObjectCommand({ Bucket, Key: "a b+c/ü.txt", Body: body, ServerSideEncryption }));
const got = await s3.send(new GetObjectCommand({ Bucket, Key: "a b+c/ü.txt" }));
say("round trip", (await got.Body.transformToString()) === body);
const range = await s3.send(new GetObjectCommand({ Bucket, Key: "a b+c/ü.txt", Range: "bytes=0-1" }));
say("range", await range.Body.transformToString());
say("denied", await refused(s3.send(new PutObjectCommand({ Bucket, Key: "denied", Body: "x" }))));
const put = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: "signed", ServerSideEncryption }), {
  expiresIn: 60, unhoistableHeaders: new Set(["x-amz-server-side-encryption"]),
});
const sent = await fetch(put, { method: "PUT", body: "by link", headers: { "x-amz-server-side-encryption": "AES256" } });
say("presigned put", sent.status);
const link = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: "signed" }), { expiresIn: 60 });
say("presigned get", await (await fetch(link)).text());
const listed = await s3.send(new ListObjectsV2Command({ Bucket }));
say("list", listed.Contents.map((entry) => entry.Key).join(" | "));
const Objects = listed.Contents.map(({ Key }) => ({ Key }));
const deleted = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
say("deleted", deleted.Deleted.length);
