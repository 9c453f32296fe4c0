import type { Storage } from '@iopa/appbuilder/extension'

const ENCODER = new TextEncoder()
const DECODER = new TextDecoder()

/** When devices were heard last, in a storage. */
export class PresenceTimes {
  readonly #storage: Storage
  readonly #prefix: string

  constructor(storage: Storage, prefix: string) {
    this.#storage = storage
    this.#prefix = `${prefix}\0p`
  }

  async keep(times: readonly (readonly [key: string, time: number])[]): Promise<void> {
    if (times.length === 0) return
    await this.#storage.batch(times.map(([key, time]) => ({ type: 'put', key: this.#prefix + key, value: ENCODER.encode(String(time)) })))
  }

  /** Removes the time of a device whose twin has been deleted. It does no harm where that fails. */
  async forget(key: string): Promise<void> {
    await this.#storage.delete(this.#prefix + key).catch(() => undefined)
  }

  async *read(): AsyncGenerator<readonly [key: string, time: number]> {
    for await (const [key, value] of this.#storage.list({ prefix: this.#prefix })) {
      const time = Number(DECODER.decode(value))
      if (Number.isSafeInteger(time)) yield [key.slice(this.#prefix.length), time]
    }
  }
}
