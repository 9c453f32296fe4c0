import { memoryStore, type Store, type StoreRecord } from '@iopa/mqtt'

/** A store in memory whose last writes come to nothing when it is cut off, as those of a killed process do. */
export class CuttableStore implements Store {
  readonly #inner: Store = memoryStore()
  #dead = false

  load(): AsyncIterable<StoreRecord> {
    return this.#inner.load()
  }

  async write(batch: readonly StoreRecord[]): Promise<void> {
    if (!this.#dead) await this.#inner.write(batch)
  }

  async close(): Promise<void> {}

  /** True once what it says that it keeps is lost. */
  get isCut(): boolean {
    return this.#dead
  }

  cut(): void {
    this.#dead = true
  }

  /** What it kept, in a new store. */
  async successor(): Promise<CuttableStore> {
    const next = new CuttableStore()
    const records: StoreRecord[] = []
    for await (const record of this.load()) records.push(record)
    await next.#inner.write(records)
    return next
  }
}
