import { describe, expect, test } from 'vitest'
import type { Store, StoredDelivery, StoredMessage, StoredSession, StoreRecord } from '../src/store.ts'

const message = (topic: string, payload = 'x'): StoredMessage => ({
  topic,
  payload: Buffer.from(payload),
  qos: 1,
  properties: Buffer.from([1, 1]),
  expiresAt: 0
})

const session = (overrides: Partial<StoredSession> = {}): StoredSession => ({
  protocolVersion: 5,
  expiryInterval: 60,
  expiresAt: null,
  will: null,
  user: null,
  ...overrides
})

const delivery = (payload: string, overrides: Partial<StoredDelivery> = {}): StoredDelivery => ({
  message: message('t', payload),
  qos: 1,
  retain: false,
  subscriptionIdentifiers: [1, 2],
  packetId: 0,
  released: false,
  ...overrides
})

/** Bytes as text, so that Buffer and Uint8Array compare equal. */
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_key, inner) =>
      inner?.type === 'Buffer' ? Buffer.from(inner.data).toString() : inner instanceof Uint8Array ? Buffer.from(inner).toString() : inner
    )
  )

const everything = async (store: Store): Promise<StoreRecord[]> => {
  const records: StoreRecord[] = []
  for await (const record of store.load()) records.push(record)
  return records
}

const byKey = (records: readonly StoreRecord[]): unknown[] =>
  (plain(records) as Record<string, unknown>[]).sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)))

/** What every store must do. `open` gives a store on the same ground each time it is called in one test. */
export function storeContract(name: string, ground: () => { open(): Store; dispose?(): Promise<void> }): void {
  describe(name, () => {
    const withStore = (work: (open: () => Store) => Promise<void>) => async () => {
      const { open, dispose } = ground()
      try {
        await work(open)
      } finally {
        await dispose?.()
      }
    }

    test(
      'gives back after reopening what was written',
      withStore(async open => {
        const records: StoreRecord[] = [
          {
            kind: 'session',
            clientId: 'a',
            value: session({
              will: { message: message('w'), retain: true, messageExpiryInterval: 9, delayInterval: 5 },
              user: { id: 'ann' },
              expiresAt: 123
            })
          },
          {
            kind: 'subscription',
            clientId: 'a',
            filter: '$share/g/x/+',
            value: { qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2, identifier: 7 }
          },
          { kind: 'message', clientId: 'a', sequence: 1, value: delivery('one', { packetId: 9, released: true, qos: 2, retain: true }) },
          { kind: 'received', clientId: 'a', packetId: 65_535, value: { reasonCode: 0x99 } },
          { kind: 'retained', topic: 'a/b', value: message('a/b', 'kept') }
        ]
        const first = open()
        expect(await everything(first)).toEqual([])
        await first.write(records)
        await first.close()
        const second = open()
        expect(byKey(await everything(second))).toEqual(byKey(records))
        await second.close()
      })
    )

    test(
      'replaces under the same key and removes with null',
      withStore(async open => {
        const store = open()
        await everything(store)
        await store.write([
          { kind: 'retained', topic: 'a', value: message('a', '1') },
          { kind: 'retained', topic: 'a', value: message('a', '2') },
          { kind: 'retained', topic: 'b', value: message('b') }
        ])
        await store.write([
          { kind: 'retained', topic: 'b', value: null },
          { kind: 'retained', topic: 'never', value: null }
        ])
        const records = await everything(store)
        expect(byKey(records)).toEqual(byKey([{ kind: 'retained', topic: 'a', value: message('a', '2') }]))
        await store.close()
      })
    )

    test(
      'gives the messages of a client in the order of their sequence',
      withStore(async open => {
        const store = open()
        await everything(store)
        const sequences = [256, 1, 65_536, 2, 255, 4_294_967_296, 10]
        await store.write(sequences.map(sequence => ({ kind: 'message', clientId: 'a', sequence, value: delivery(String(sequence)) })))
        const found = (await everything(store)).map(record => (record.kind === 'message' ? record.sequence : -1))
        expect(found).toEqual([...sequences].sort((a, b) => a - b))
        await store.close()
      })
    )

    test(
      'removes a client with everything it has, and nobody else',
      withStore(async open => {
        const store = open()
        await everything(store)
        const ids = ['a', 'a/b', 'a\0b', 'ab', '', 'ä', '__proto__', 'a\uffff']
        for (const clientId of ids) {
          await store.write([
            { kind: 'session', clientId, value: session() },
            {
              kind: 'subscription',
              clientId,
              filter: 'x',
              value: { qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: 0 }
            },
            { kind: 'message', clientId, sequence: 1, value: delivery('m') },
            { kind: 'received', clientId, packetId: 1, value: { reasonCode: 0 } }
          ])
        }
        await store.write([{ kind: 'session', clientId: 'a', value: null }])
        const left = await everything(store)
        expect(new Set(left.map(record => (record.kind === 'retained' ? '?' : record.clientId)))).toEqual(new Set(ids.slice(1)))
        expect(left).toHaveLength(4 * (ids.length - 1))
        await store.close()
      })
    )

    test(
      'can write a session again in the batch that removes it',
      withStore(async open => {
        const store = open()
        await everything(store)
        await store.write([
          { kind: 'session', clientId: 'a', value: session() },
          { kind: 'message', clientId: 'a', sequence: 1, value: delivery('old') }
        ])
        await store.write([
          { kind: 'session', clientId: 'a', value: null },
          { kind: 'session', clientId: 'a', value: session({ expiryInterval: 5 }) },
          { kind: 'message', clientId: 'a', sequence: 2, value: delivery('new') }
        ])
        expect(byKey(await everything(store))).toEqual(
          byKey([
            { kind: 'session', clientId: 'a', value: session({ expiryInterval: 5 }) },
            { kind: 'message', clientId: 'a', sequence: 2, value: delivery('new') }
          ])
        )
        await store.close()
      })
    )
  })
}
