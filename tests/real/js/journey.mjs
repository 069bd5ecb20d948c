// The journey of every client, with the AWS SDK for JavaScript; its target comes from the environment.
import dns from "node:dns";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import {
  CopyObjectCommand, CreateBucketCommand, DeleteBucketCommand, DeleteObjectCommand, DeleteObjectsCommand,
  GetObjectCommand, GetObjectTaggingCommand, HeadObjectCommand, ListBucketsCommand, PutObjectCommand,
  PutObjectTaggingCommand, S3Client, paginateListObjectsV2,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const to = JSON.parse(process.env.JOURNEY);
const version = JSON.parse(readFileSync(new URL("node_modules/@aws-sdk/client-s3/package.json", import.meta.url))).version;
const virtual = to.style === "virtual";
const host = `${virtual ? "s3.localhost" : "localhost"}:${to.port}`;
const Bucket = to.bucket;
const BODY = Buffer.from("grüße\n".repeat(100));
const LARGE = Buffer.alloc(11 << 20, Buffer.from(Array.from({ length: 256 }, (_, n) => n)));
const UNICODE = "grüße, 日本";
const ODD = ["odd/a b+c~d.txt", "odd/ü (1)!'.txt", "odd/100%.txt", "odd/a=b&c;d@e,f.txt", "odd/日本/%41.txt"];
const MANY = 1050;

// Names under localhost are this machine; the system's resolver may not know.
const lookup = (name, options, done) =>
  dns.lookup(name.endsWith("localhost") ? "127.0.0.1" : name, options, done);
const ca = readFileSync(to.authority_file);
const agents = { httpAgent: new http.Agent({ lookup, keepAlive: true }), httpsAgent: new https.Agent({ lookup, ca, keepAlive: true }) };
const s3 = new S3Client({
  endpoint: `${to.scheme}://${host}`, region: to.region, forcePathStyle: !virtual, maxAttempts: 1,
  credentials: { accessKeyId: to.access_key_id, secretAccessKey: to.secret_access_key },
  requestHandler: agents,
});

const same = (found, wanted) => {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${a.slice(0, 300)} is not ${b.slice(0, 300)}`);
};
const sum = (data) => createHash("sha256").update(data).digest("hex");
const put = (Key, Body, more = {}) => s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));
const get = async (Key, more = {}) =>
  Buffer.from(await (await s3.send(new GetObjectCommand({ Bucket, Key, ...more }))).Body.transformToByteArray());
const keys = async (bucket, Prefix, pageSize = 300) => {
  const found = [];
  for await (const page of paginateListObjectsV2({ client: s3, pageSize }, { Bucket: bucket, Prefix })) {
    found.push(...(page.Contents ?? []).map((each) => each.Key));
  }
  return found;
};
const fetched = (url, method = "GET", body = undefined) => new Promise((resolve, reject) => {
  const secure = to.scheme === "https";
  const options = { method, agent: secure ? agents.httpsAgent : agents.httpAgent };
  const sent = (secure ? https : http).request(url, options, (answer) => {
    const pieces = [];
    answer.on("data", (piece) => pieces.push(piece));
    answer.on("end", () => (answer.statusCode === 200
      ? resolve(Buffer.concat(pieces)) : reject(new Error(`${answer.statusCode} ${Buffer.concat(pieces)}`))));
  });
  sent.on("error", reject);
  if (body) sent.setHeader("Content-Length", body.length);
  sent.end(body);
});

const steps = {
  async make_bucket() {
    await s3.send(new CreateBucketCommand({ Bucket: `${Bucket}-made` }));
    const listed = await s3.send(new ListBucketsCommand({}));
    same(listed.Buckets.some((each) => each.Name === `${Bucket}-made`), true);
    await s3.send(new DeleteBucketCommand({ Bucket: `${Bucket}-made` }));
  },
  async put_and_get() {
    await put("plain", BODY, { ContentType: "text/x" });
    same(sum(await get("plain")), sum(BODY));
  },
  async head() {
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key: "plain" }));
    same([head.ContentLength, head.ContentType], [BODY.length, "text/x"]);
  },
  async ranges() {
    same(String(await get("plain", { Range: "bytes=0-1" })), "gr");
    same(sum(await get("plain", { Range: "bytes=-5" })), sum(BODY.subarray(-5)));
  },
  async empty() {
    await put("empty", "");
    same((await get("empty")).length, 0);
  },
  async metadata() {
    // Node takes no such characters in a header, so programs escape them.
    await put("meta", "x", { Metadata: { name: encodeURIComponent(UNICODE) } });
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key: "meta" }));
    same(decodeURIComponent(head.Metadata.name), UNICODE);
  },
  async odd_keys() {
    for (const key of ODD) await put(key, key);
    same((await keys(Bucket, "odd/")).sort(), [...ODD].sort());
    for (const key of ODD) same(String(await get(key)), key);
  },
  async pages() {
    same((await keys(to.listed, "many/")).length, MANY);
  },
  async multipart() {
    await new Upload({ client: s3, params: { Bucket, Key: "parts", Body: LARGE }, partSize: 6 << 20 }).done();
    same(sum(await get("parts")), sum(LARGE));
  },
  async copy() {
    const CopySource = encodeURIComponent(`${Bucket}/${ODD[1]}`);
    await s3.send(new CopyObjectCommand({ Bucket, Key: "copy", CopySource }));
    same(String(await get("copy")), ODD[1]);
  },
  async tags() {
    await s3.send(new PutObjectTaggingCommand({ Bucket, Key: "plain", Tagging: { TagSet: [{ Key: "a", Value: "ü" }] } }));
    same((await s3.send(new GetObjectTaggingCommand({ Bucket, Key: "plain" }))).TagSet, [{ Key: "a", Value: "ü" }]);
  },
  async presigned_get() {
    const url = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: ODD[0] }), { expiresIn: 60 });
    same(String(await fetched(url)), ODD[0]);
  },
  async presigned_put() {
    // The checksum in its query is that of an empty body; S3 ignores it there.
    const url = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: "by link ü" }), { expiresIn: 60 });
    await fetched(url, "PUT", BODY);
    same(sum(await get("by link ü")), sum(BODY));
  },
  async denied() {
    const told = await put("strict/denied", BODY).then(() => "allowed", (error) => `${error.name} ${error.$metadata.httpStatusCode}`);
    same(told, "AccessDenied 403");
  },
  async conforming() {
    await put("strict/allowed", BODY, { ServerSideEncryption: "AES256" });
    same(sum(await get("strict/allowed")), sum(BODY));
  },
  async delete() {
    await s3.send(new DeleteObjectCommand({ Bucket, Key: "plain" }));
    same((await keys(Bucket, "plain")), []);
  },
  async delete_batch() {
    const Objects = (await keys(Bucket)).map((Key) => ({ Key }));
    const done = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    same([done.Deleted.length, done.Errors ?? []], [Objects.length, []]);
    same(await keys(Bucket), []);
  },
};

const outcomes = {};
for (const [name, act] of Object.entries(steps)) {
  outcomes[name] = await act().then(() => "passed", (error) => {
    console.error(name, error);
    return `failed: ${error}`;
  });
}
outcomes.sync = "not offered: a library";
console.log(JSON.stringify({ version, steps: outcomes }));
process.exit(0);
