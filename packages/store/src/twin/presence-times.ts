import type { Storage } from '@iopa/appbuilder/extension'
import { decodeRecord, encodeRecord } from '../document-format.ts'

interface PresenceRecord {
  readonly time: number
}

/** When devices were heard last, in a storage. */
export class PresenceTimes {
  readonly #storage: Storage
  readonly #prefix: string

  constructor(storage: Storage, prefix: string) {
    this.#storage = storage
    this.#prefix = prefix
  }

  async keep(times: readonly (readonly [key: string, time: number])[]): Promise<void> {
    if (times.length === 0) return
    const records = times.map(([key, time]) => [this.#prefix + key, { time } satisfies PresenceRecord] as const)
    await this.#storage.batch(records.map(([key, record]) => ({ type: 'put', key, value: encodeRecord(key, record) })))
  }

  async *read(): AsyncGenerator<readonly [key: string, time: number]> {
    for await (const [key, value] of this.#storage.list({ prefix: this.#prefix })) {
      const time = timeOf(key, value)
      if (time !== undefined) yield [key.slice(this.#prefix.length), time]
    }
  }
}

/** Undefined for a record that is damaged: the device will be heard again. */
const timeOf = (key: string, value: Uint8Array): number | undefined => {
  try {
    return (decodeRecord(key, value) as PresenceRecord).time
  } catch {
    return undefined
  }
}
