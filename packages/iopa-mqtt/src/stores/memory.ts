import type { Store, StoreRecord } from '../store.ts'

/**
 * A store that keeps its records in this process: what one listener leaves there, the next one finds. For tests, and for an app
 * that closes and listens again; it does not survive the process.
 */
export function memoryStore(): Store {
  return new MemoryStore()
}

class MemoryStore implements Store {
  readonly #retained = new Map<string, StoreRecord>()
  readonly #clients = new Map<string, Map<string, StoreRecord>>()

  async *load(): AsyncGenerator<StoreRecord> {
    yield* [...this.#retained.values()]
    for (const records of [...this.#clients.values()]) {
      const messages: (StoreRecord & { kind: 'message' })[] = []
      for (const record of [...records.values()]) {
        if (record.kind === 'message') messages.push(record)
        else yield record
      }
      yield* messages.sort((a, b) => a.sequence - b.sequence)
    }
  }

  async write(batch: readonly StoreRecord[]): Promise<void> {
    for (const record of batch) {
      if (record.kind === 'retained') put(this.#retained, record.topic, record)
      else if (record.kind === 'session' && record.value === null) this.#clients.delete(record.clientId)
      else {
        let records = this.#clients.get(record.clientId)
        if (!records) this.#clients.set(record.clientId, (records = new Map()))
        put(records, keyOf(record), record)
        if (records.size === 0) this.#clients.delete(record.clientId)
      }
    }
  }

  async close(): Promise<void> {}
}

function put(records: Map<string, StoreRecord>, key: string, record: StoreRecord): void {
  if (record.value === null) records.delete(key)
  else records.set(key, record)
}

function keyOf(record: Exclude<StoreRecord, { kind: 'retained' }>): string {
  switch (record.kind) {
    case 'subscription':
      return `s${record.filter}`
    case 'message':
      return `m${record.sequence}`
    case 'received':
      return `r${record.packetId}`
    default:
      return record.kind
  }
}
