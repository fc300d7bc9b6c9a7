// Every vector of tests/vectors/sdk.json that the core has a part in, through both builds.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, cores, quantity, transaction, vectors } from "./core.mjs";

for (const [name, core] of await cores()) {
  const sameAddress = (address, want) => assert.equal(address.toLowerCase(), want.toLowerCase());

  /** Encodes, hashes, joins, decodes and recovers one signed transaction. */
  const check = ({ fields, signingPreimage, signingHash, v, r, s, raw, privateTxHash, sender }) => {
    const tx = transaction(fields);
    assert.equal(core.encodeForSigning(tx), signingPreimage);
    assert.equal(core.signatureHash(tx), signingHash);
    assert.equal(core.transactionHash(raw), privateTxHash);
    sameAddress(core.recoverSigner(raw), sender);
    const decoded = core.decode(raw);
    sameAddress(decoded.from, sender);
    assert.equal(decoded.v, quantity(v));
    assert.equal(decoded.hash, privateTxHash);
    for (const [field, value] of Object.entries(tx)) {
      const got = decoded[field];
      assert.deepEqual(field === "to" ? got.toLowerCase() : got, value, field);
    }
    const odd = BigInt(v) >= 35n ? BigInt(v) % 2n === 0n : BigInt(v) === 28n;
    const signature = { r: decoded.r, s: decoded.s, yParity: odd ? 1 : 0 };
    assert.deepEqual([BigInt(decoded.r), BigInt(decoded.s)], [BigInt(r), BigInt(s)]);
    assert.equal(core.serialize(tx, signature), raw);
    sameAddress(core.recoverAddress(signingHash, signature), sender);
    const padded = { r: pad(r), s: pad(s), yParity: signature.yParity };
    assert.equal(core.serialize(tx, padded), raw);
  };
  const pad = (hex) => `0x${hex.slice(2).padStart(64, "0")}`;

  test(`${name}: signed private transactions come out byte for byte`, () => {
    assert.equal(vectors.signedPrivateTxs.length, 19);
    for (const vector of vectors.signedPrivateTxs) {
      check(vector);
      assert.equal(core.sign(transaction(vector.fields), bytes(vector.privateKey)), vector.raw);
    }
  });

  test(`${name}: the old library's fixture is decoded and signed again`, () => {
    const { derived, resigned, privateKey, expectedSender } = vectors.upstreamTx;
    check(derived);
    assert.equal(core.sign(transaction(derived.fields), bytes(privateKey)), resigned.raw);
    sameAddress(core.accountAddress(bytes(privateKey)), `0x${expectedSender}`);
    sameAddress(core.recoverSigner(resigned.raw), `0x${expectedSender}`);
  });

  test(`${name}: transactions of others are decoded or refused`, () => {
    for (const { name: vector, raw, derived } of vectors.otherRawTxs) {
      if (derived) {
        check(derived);
      } else {
        assert.match(vector, /INVALID/);
        assert.throws(() => core.decode(raw), { name: "DecodeError", code: "TRANSACTION_RLP" });
      }
    }
  });

  test(`${name}: accounts are those of their keys`, () => {
    for (const { privateKey, address } of Object.values(vectors.accounts)) {
      assert.equal(core.accountAddress(bytes(privateKey)), address);
    }
  });

  test(`${name}: legacy group ids do not depend on the order`, () => {
    const { sets, besuTests, fromExampleKeys, rlpExample } = vectors.legacyGroupIds;
    const want = [...sets, ...besuTests, ...fromExampleKeys];
    assert.ok(want.length > 120 && rlpExample);
    for (const { members, privacyGroupId } of want) {
      assert.equal(core.legacyGroupId(members), privacyGroupId);
      assert.equal(core.legacyGroupId([...members, ...members].reverse()), privacyGroupId);
    }
  });

  test(`${name}: management calldata and answers come in both ABIs`, () => {
    const { vectors: calls, getParticipantsAnswers, besuFlexibleUtilTestNaCl } = vectors.calldata;
    const make = {
      "addParticipants(bytes32[])": (members) => core.addParticipantsCalldata(members, "bytes32"),
      "addParticipants(bytes[])": (members) => core.addParticipantsCalldata(members, "bytes"),
      "removeParticipant(bytes32)": (member) => core.removeParticipantCalldata(member, "bytes32"),
      "removeParticipant(bytes)": (member) => core.removeParticipantCalldata(member, "bytes"),
      "lock()": core.lockCalldata,
      "unlock()": core.unlockCalldata,
      "getParticipants()": core.participantsCalldata,
      "canExecute()": core.canExecuteCalldata,
      "getVersion()": core.versionCalldata,
    };
    let made = 0;
    for (const { fn, args, data } of calls) {
      if (make[fn]) {
        const given = fn.startsWith("add") ? [args.flat(2)] : args.flat(2);
        assert.equal(make[fn](...given), data, fn);
        const call = core.decodeManagementCall(data);
        assert.equal(call.name, fn.split("(")[0]);
        if (fn.startsWith("add")) assert.deepEqual(call.members, args.flat(2));
        if (fn.startsWith("remove")) assert.equal(call.member, args.flat(2)[0]);
        made += 1;
      }
    }
    assert.ok(made >= 9, `${made} calls`);
    for (const { abi, members, output } of getParticipantsAnswers) {
      assert.deepEqual(core.decodeParticipants(output, "auto"), members);
      assert.deepEqual(core.decodeParticipants(output, abi.replace("[]", "")), members);
    }
    const { members, data } = besuFlexibleUtilTestNaCl;
    assert.equal(core.addParticipantsCalldata(members, "bytes"), data);
  });

  test(`${name}: selectors and topics are those of the contracts`, () => {
    const { selectors, topics } = vectors.calldata;
    const owner = `0x${"11".repeat(20)}`;
    assert.equal(core.upgradeToCalldata(owner).slice(0, 10), selectors["upgradeTo(address)"]);
    assert.equal(core.decodeManagementCall(core.upgradeToCalldata(owner)).address, owner);
    assert.equal(core.decodeManagementCall(core.transferOwnershipCalldata(owner)).address, owner);
    assert.deepEqual(core.decodeManagementCall(core.acceptOwnershipCalldata()), {
      name: "acceptOwnership",
    });
    const word = "07".repeat(32);
    assert.deepEqual(core.decodeManagementEvent([topics["ParticipantRemoved(bytes32)"]], `0x${word}`), {
      name: "ParticipantRemoved",
      member: Buffer.from(word, "hex").toString("base64"),
    });
    const word32 = (number) => number.toString(16).padStart(64, "0");
    const text = Buffer.from("a\nb").toString("hex").padEnd(64, "0");
    const added = `0x${word32(1)}${word}${word32(96)}${word32(3)}${text}`;
    assert.deepEqual(core.decodeManagementEvent([topics["ParticipantAdded(bool,bytes32,string)"]], added), {
      name: "ParticipantAdded",
      success: true,
      member: Buffer.from(word, "hex").toString("base64"),
      message: "a\nb",
    });
    assert.equal(core.decodeManagementEvent([topics["stored(address,uint256)"]], "0x"), undefined);
    assert.equal(core.decodeManagementEvent([], "0x"), undefined);
  });

  test(`${name}: reverts say why`, () => {
    const word = (number) => number.toString(16).padStart(64, "0");
    const text = Buffer.from("no\nway").toString("hex").padEnd(64, "0");
    const error = `0x08c379a0${word(32)}${word(6)}${text}`;
    assert.deepEqual(core.decodeRevert(error), { kind: "error", reason: "no\nway" });
    assert.deepEqual(core.decodeRevert(`0x4e487b71${word(0x11)}`), {
      kind: "panic",
      code: "0x11",
      reason: "arithmetic underflow or overflow",
    });
    assert.equal(core.decodeRevert("0x"), undefined);
    assert.equal(core.decodeRevert("0x12345678"), undefined);
  });

  test(`${name}: markers are legacy transactions`, () => {
    const { privateKey, address } = vectors.accounts.node1;
    const marker = {
      nonce: "0x9",
      gasPrice: "0x4a817c800",
      gasLimit: "0x5a88",
      to: "0x000000000000000000000000000000000000007d",
      data: `0x${"ab".repeat(32)}`,
    };
    for (const chainId of [undefined, "0x1", "0x539", "0xffffffffffffffff"]) {
      const tx = { ...marker, chainId };
      const raw = core.signMarker(tx, bytes(privateKey));
      const signature = {
        r: `0x${raw.slice(-130, -66)}`,
        s: `0x${raw.slice(-64)}`,
      };
      const signers = [0, 1].map((yParity) => {
        const signed = core.serializeMarker(tx, { ...signature, yParity });
        return signed === raw && core.recoverAddress(core.markerSignatureHash(tx), { ...signature, yParity });
      });
      assert.ok(signers.includes(address), `${chainId}`);
    }
  });

  test(`${name}: private contracts have their addresses`, () => {
    const group = "xQdJRZp0ejzJRqU6N3+EsFo+qTIcdWX50V6YTyvBepw=";
    const sender = vectors.accounts.node1.address;
    const addresses = ["0x0", "0x1", "0x2"].map((nonce) => core.contractAddress(sender, nonce, group));
    assert.deepEqual(
      addresses.map((it) => it.toLowerCase()),
      [
        "0x41ef104fe3aca49eb452f462aa3f180e6e3e1dc3",
        "0x7d475a37063f561f783342213c674a8e5a2def53",
        "0xb0ccc0c6d5d9a7674db5f50662f6ac3e64ace97c",
      ],
    );
    assert.equal(core.contractAddress(sender, "0x0", core.groupIdBytes(group)), addresses[0]);
    sameAddress(
      core.contractAddress(sender, "0x0", "DyAOiF/ynpc+JXa2YAGB0bCitSlOMNm+ShmB/7M6C4w="),
      vectors.receiptExpectations.eeaDeployAddress_freshChain,
    );
  });

  test(`${name}: bytes are hashed`, () => {
    // Of no bytes (the code hash of an account without code, EIP-1052), and the selector of `lock()`.
    assert.equal(core.keccak256("0x"), "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    const signature = `0x${Buffer.from("lock()").toString("hex")}`;
    assert.equal(core.keccak256(signature).slice(0, 10), core.lockCalldata());
  });

  test(`${name}: keys and ids are read and written`, () => {
    const key = vectors.legacyGroupIds.keys[0].key;
    assert.equal(core.enclaveKey(key), key);
    assert.equal(core.enclaveKey(core.enclaveKeyBytes(key)), key);
    assert.equal(core.groupId(core.groupIdBytes(key)), key);
    assert.equal(core.payloadKey(Uint8Array.from(Buffer.from(key, "base64"))), key);
    assert.equal(core.payloadKey(`0x${Buffer.from(key, "base64").toString("hex")}`), key);
    const ids = new Set(Array.from({ length: 100 }, () => core.randomGroupId()));
    assert.equal(ids.size, 100);
    for (const id of ids) assert.equal(core.groupId(id), id);
  });
}
