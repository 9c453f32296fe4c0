import { virtualClock } from '@iopa/testing'
import type { Store, StoreRecord } from '../../src/store.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { type Lab, lab } from './lab.ts'

/** A store whose writes a test lets through, and that can be cut off as a killed process would. */
export class HeldStore implements Store {
  readonly inner: Store = memoryStore()
  held: (() => void)[] = []
  hold = false
  dead = false
  failing = false
  writes = 0

  load(): AsyncIterable<StoreRecord> {
    return this.inner.load()
  }

  async write(batch: readonly StoreRecord[]): Promise<void> {
    this.writes++
    if (this.hold) await new Promise<void>(resolve => this.held.push(resolve))
    if (this.failing) throw new Error('disk full')
    if (!this.dead) await this.inner.write(batch)
  }

  async close(): Promise<void> {}

  release(): void {
    this.hold = false
    for (const resolve of this.held.splice(0)) resolve()
  }
}

/** A broker that takes up what another one, cut off as by `kill -9`, left in its store. */
export async function restarted(before: Lab, store: HeldStore, build?: Parameters<typeof lab>[0]): Promise<Lab & { store: HeldStore }> {
  await before.rest()
  store.dead = true
  const next = new HeldStore()
  const records: StoreRecord[] = []
  for await (const record of store.load()) records.push(record)
  await next.inner.write(records)
  return Object.assign(await lab(build, { store: next }, virtualClock({ start: before.clock.now() })), { store: next })
}
