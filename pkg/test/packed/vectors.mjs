// Every vector of tests/vectors/sdk.json that concerns bytes, through whatever SDK module it is
// given. Plain JavaScript without a runtime's own modules: it runs in Node, Bun, Deno, workerd and
// browsers, as it is and bundled.

const hex = (text) => (text.startsWith("0x") ? text : `0x${text}`);
const number = (quantity) => (quantity === "0x" ? 0n : BigInt(quantity));

/** Runs all; gives how many passed, and a line for each that did not. */
export function checkVectors(sdk, vectors) {
  const run = { passed: 0, failed: [] };
  const check = (name, actual, expected) => {
    let value;
    try {
      value = actual();
    } catch (error) {
      run.failed.push(`${name}: ${error?.name}: ${error?.message}`);
      return;
    }
    const [got, want] = [JSON.stringify(value), JSON.stringify(expected)];
    if (got === want) run.passed += 1;
    else run.failed.push(`${name}: ${got} instead of ${want}`);
  };
  const refuse = (name, action, errorName) => {
    try {
      run.failed.push(`${name}: gave ${JSON.stringify(action())} instead of an error`);
    } catch (error) {
      if (error?.name === errorName && typeof error.code === "string") run.passed += 1;
      else run.failed.push(`${name}: ${error?.name} (${error?.code}) instead of ${errorName}`);
    }
  };
  groupIds(sdk, vectors.legacyGroupIds, check);
  transactions(sdk, vectors, check);
  otherTransactions(sdk, vectors.otherRawTxs, check, refuse);
  calldata(sdk, vectors.calldata, check, refuse);
  accounts(sdk, vectors, check);
  return run;
}

function groupIds(sdk, { sets, besuTests, fromExampleKeys }, check) {
  for (const { members, privacyGroupId } of [...sets, ...besuTests, ...fromExampleKeys]) {
    const name = `group id of ${members.join()}`;
    check(name, () => sdk.legacyGroupId(members), privacyGroupId);
    check(`${name}, reversed`, () => sdk.legacyGroupId([...members].reverse()), privacyGroupId);
    check(`${name}, repeated`, () => sdk.legacyGroupId([...members, members[0]]), privacyGroupId);
  }
}

/** A vector's fields as the SDK takes them. */
function transaction({ nonce, gasPrice, gasLimit, to, value, data, chainId, privateFrom, privateFor, privacyGroupId }) {
  return {
    nonce: number(nonce),
    gasPrice: number(gasPrice),
    gas: number(gasLimit),
    value: number(value),
    data,
    privateFrom,
    ...(to === "0x" ? {} : { to }),
    ...(chainId === 0 ? {} : { chainId }),
    ...(privacyGroupId === undefined ? { privateFor } : { privacyGroupId }),
  };
}

function transactions(sdk, { signedPrivateTxs, upstreamTx }, check) {
  for (const vector of signedPrivateTxs) {
    const { name, privateKey, fields, signingPreimage, signingHash, raw } = vector;
    check(`${name}: pre-image`, () => sdk.serializePrivateTransaction(transaction(fields)), signingPreimage);
    check(`${name}: hash to sign`, () => sdk.privateTransactionSignatureHash(transaction(fields)), signingHash);
    check(`${name}: signed`, () => sdk.signPrivateTransaction(transaction(fields), hex(privateKey)), raw);
    decoded(sdk, name, vector, check);
  }
  const { derived, resigned, privateKey } = upstreamTx;
  check("upstream: hash to sign", () => sdk.privateTransactionSignatureHash(transaction(derived.fields)), derived.signingHash);
  check("upstream: signed", () => sdk.signPrivateTransaction(transaction(derived.fields), hex(privateKey)), resigned.raw);
  decoded(sdk, "upstream", derived, check);
}

/** What a signed transaction is when it is read, and that it is written alike. */
function decoded(sdk, name, { fields, v, r, s, raw, privateTxHash, sender }, check) {
  const want = transaction(fields);
  const read = () => sdk.parsePrivateTransaction(raw);
  const text = (value) => (value === undefined || value === null ? "" : String(value).toLowerCase());
  for (const field of ["nonce", "gasPrice", "gas", "value", "to", "data", "chainId"]) {
    check(`${name}: ${field}`, () => text(read()[field]), text(want[field]));
  }
  for (const field of ["privateFrom", "privacyGroupId", "privateFor"]) {
    check(`${name}: ${field}`, () => read()[field], want[field]);
  }
  check(`${name}: restriction`, () => read().restriction, fields.restriction);
  check(`${name}: v`, () => text(read().v), text(number(v)));
  check(`${name}: r`, () => text(BigInt(read().r)), text(number(r)));
  check(`${name}: s`, () => text(BigInt(read().s)), text(number(s)));
  check(`${name}: sender`, () => text(sdk.recoverPrivateTransactionSigner(raw)), sender);
  check(`${name}: from`, () => text(read().from), sender);
  check(`${name}: transaction hash`, () => sdk.privateTransactionHash(raw), privateTxHash);
  const yParity = number(v) > 30n ? (number(v) - 35n) % 2n : number(v) - 27n;
  const signature = { r, s, yParity: Number(yParity) };
  check(`${name}: written`, () => sdk.serializePrivateTransaction(want, signature), raw);
}

function otherTransactions(sdk, vectors, check, refuse) {
  for (const { name, raw, derived } of vectors) {
    if (derived) decoded(sdk, name, derived, check);
    else refuse(name, () => sdk.parsePrivateTransaction(raw), "DecodeError");
  }
}

function calldata(sdk, { vectors, getParticipantsAnswers, besuFlexibleUtilTestNaCl }, check, refuse) {
  const abi = (name) => (name.includes("bytes32") ? "bytes32" : "bytes");
  for (const { fn, args, data } of vectors) {
    const name = `${fn} of ${args.length}: ${args.join().slice(0, 30)}`;
    if (fn.startsWith("addParticipants") && args.length > 0) {
      check(name, () => sdk.addParticipantsData(args, abi(fn)), data);
    } else if (fn.startsWith("removeParticipant")) {
      check(name, () => sdk.removeParticipantData(args[0], abi(fn)), data);
    }
  }
  const { members, data } = besuFlexibleUtilTestNaCl;
  check("addParticipants of Besu's test", () => sdk.addParticipantsData(members, "bytes"), data);
  const ec = vectors.find(({ fn, args }) => fn === "removeParticipant(bytes)" && args[0].length > 44);
  refuse("a key of 91 bytes as bytes32", () => sdk.addParticipantsData(ec.args, "bytes32"), "InvalidInputError");
  for (const answer of getParticipantsAnswers) {
    const name = `getParticipants in ${answer.abi}, ${answer.members.length} members`;
    check(name, () => sdk.decodeParticipants(answer.output, abi(answer.abi)), answer.members);
    check(`${name}, told apart`, () => sdk.decodeParticipants(answer.output), answer.members);
  }
}

function accounts(sdk, vectors, check) {
  for (const [name, { privateKey, address }] of Object.entries(vectors.accounts)) {
    check(`${name}: address`, () => sdk.accountAddress(hex(privateKey)), address);
  }
  const [tx] = vectors.signedPrivateTxs;
  const group = "DyAOiF/ynpc+JXa2YAGB0bCitSlOMNm+ShmB/7M6C4w=";
  check(
    "the first contract of a sender in a group",
    () => sdk.privateContractAddress(tx.sender, 0n, group).toLowerCase(),
    vectors.receiptExpectations.eeaDeployAddress_freshChain,
  );
}
