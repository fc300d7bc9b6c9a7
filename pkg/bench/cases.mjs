// What is measured, and how: every subject does the same work, in turns, in rounds; a figure is
// the median of the rounds.

/** Takes the published test vector apart. */
export function cases({ signedPrivateTxs, legacyGroupIds }) {
  const { fields, raw, privateKey, sender } = signedPrivateTxs[0];
  // web3js-quorum cannot read a transaction to a group.
  const received = signedPrivateTxs.find((it) => it.name === "call privateFor [N2]").raw;
  const { members, privacyGroupId } = legacyGroupIds.sets.find((set) => set.members.length === 3);
  const number = (hex) => BigInt(hex === "0x" ? 0 : hex);
  return {
    raw,
    received,
    sender,
    members,
    id: privacyGroupId,
    fields,
    privateKey,
    key: Uint8Array.from(privateKey.match(/../g), (byte) => Number.parseInt(byte, 16)),
    tx: {
      nonce: number(fields.nonce),
      gasPrice: number(fields.gasPrice),
      gas: number(fields.gasLimit),
      to: fields.to,
      data: fields.data,
      chainId: BigInt(fields.chainId),
      privateFrom: fields.privateFrom,
      privacyGroupId: fields.privacyGroupId,
    },
  };
}

/** Ours, by its public functions. */
export const ours = (sdk, { tx, received, key, members }) => ({
  sign: () => sdk.signPrivateTransaction(tx, key),
  recover: () => sdk.recoverPrivateTransactionSigner(received),
  group: () => sdk.legacyGroupId(members),
});

export const noble = (library, { tx, received, key, members }) => ({
  sign: () => library.sign(tx, key),
  recover: () => library.recover(received),
  group: () => library.groupId(members),
});

/** web3js-quorum 22.4.0 by the classes that its client uses. */
export const quorum = ({ PrivateTransaction, utils, Buffer }, { fields, received, privateKey, members }) => {
  const key = Buffer.from(privateKey, "hex");
  return {
    sign: () => {
      const tx = new PrivateTransaction();
      for (const name of ["nonce", "gasPrice", "gasLimit", "to", "value", "data"]) tx[name] = fields[name];
      tx._chainId = fields.chainId;
      tx.privateFrom = fields.privateFrom;
      tx.privacyGroupId = fields.privacyGroupId;
      tx.restriction = "restricted";
      tx.sign(key);
      return `0x${tx.serialize().toString("hex")}`;
    },
    recover: () => `0x${new PrivateTransaction(received).getSenderAddress().toString("hex")}`,
    group: () => utils.generatePrivacyGroup({ privateFrom: members[0], privateFor: members.slice(1) }),
  };
};

/** Checks that every subject gives the same, or nothing was compared. */
export function check(subjects, { raw, sender, id }) {
  const want = { sign: raw, recover: sender, group: id };
  for (const [name, subject] of Object.entries(subjects)) {
    for (const [kind, call] of Object.entries(subject)) {
      const got = call();
      if (got.toLowerCase() !== want[kind].toLowerCase()) {
        throw new Error(`${name} ${kind}: ${got} instead of ${want[kind]}`);
      }
    }
  }
}

/** Microseconds a call, by kind and subject: the medians. */
export function measure(subjects, { rounds, slice }) {
  const figures = {};
  for (const kind of ["sign", "recover", "group"]) {
    const runs = Object.fromEntries(Object.keys(subjects).map((name) => [name, []]));
    for (let round = -1; round < rounds; round += 1) {
      for (const [name, subject] of Object.entries(subjects)) {
        const call = subject[kind];
        const start = performance.now();
        let calls = 0;
        let now = start;
        while (now - start < slice) {
          for (let index = 0; index < 10; index += 1) call();
          calls += 10;
          now = performance.now();
        }
        // The first round warms up.
        if (round >= 0) runs[name].push(((now - start) * 1000) / calls);
      }
    }
    figures[kind] = Object.fromEntries(
      Object.entries(runs).map(([name, all]) => [name, all.sort((a, b) => a - b)[all.length >> 1]]),
    );
  }
  return figures;
}
