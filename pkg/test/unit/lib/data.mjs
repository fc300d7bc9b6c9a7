// Published test keys and what fake nodes answer.

export const KEY = "0x8f2a55949038a9610f50fb23b5883af3b4ecb3c3bb792cbcefbd1542c692be63";
export const ADDRESS = "0xfe3b557e8fb62b89f4916b721be55ceb828dbd73";
export const ALICE = "BULeR8JyUWhiuuCMU/HLA0Q5pzkYT+cHII3ZKBey3Bo=";
export const BOB = "QfeDAys9MPDs2XHExtc84jKGHxZg/aj52DTh0vtA3Xc=";
export const CAROL = "1iTZde/ndBHvzhcl7V68x44Vx7pl8nwx9LqnM/AfJUg=";
export const GROUP = "xQdJRZp0ejzJRqU6N3+EsFo+qTIcdWX50V6YTyvBepw=";
export const TO = "0xebf56429e6500e84442467292183d4d621359838";

export const hashOf = (number) => `0x${BigInt(number).toString(16).padStart(64, "0")}`;
export const word = (value) => hashOf(value);
export const quantity = (number) => `0x${BigInt(number).toString(16)}`;

/** A receipt as a node answers it. */
export const receipt = (hash, more = {}) => ({
  from: ADDRESS,
  to: TO,
  output: "0x",
  commitmentHash: hash,
  privateFrom: ALICE,
  privacyGroupId: GROUP,
  status: "0x1",
  logs: [],
  logsBloom: `0x${"00".repeat(256)}`,
  blockHash: hashOf(7),
  blockNumber: "0x7",
  transactionIndex: "0x0",
  reason: "executed",
  ...more,
});

/** A log as a node answers it. */
export const log = (block, index = 0, more = {}) => ({
  address: TO,
  topics: [hashOf(1)],
  data: word(block),
  blockHash: hashOf(1000 + block),
  blockNumber: quantity(block),
  transactionHash: hashOf(2000 + block),
  transactionIndex: "0x0",
  logIndex: quantity(index),
  removed: false,
  ...more,
});

/** `Error(string)` with this reason. */
export const errorString = (reason) => {
  const bytes = Buffer.from(reason);
  const padded = Buffer.alloc(Math.ceil(bytes.length / 32) * 32);
  bytes.copy(padded);
  return `0x08c379a0${word(32).slice(2)}${word(bytes.length).slice(2)}${padded.toString("hex")}`;
};
