import type { App } from '@iopa/appbuilder'
import { afterEach } from 'vitest'
import { mosquitto, type Peer, until } from '../../packages/iopa-mqtt/test/fixtures/peers.ts'

/** One worker, and all that it holds as a text. */
interface Worker {
  readonly app: Pick<App, 'close'>
  held(): Promise<string>
}

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** Starts mosquitto and three workers on it, which end with the test. */
export const threeWorkers = async <W extends Worker>(
  worker: (broker: Peer) => Promise<W>
): Promise<{ broker: Peer; workers: readonly [W, W, W] }> => {
  const broker = await mosquitto()
  closing.push(() => broker.dispose())
  const workers = [await worker(broker), await worker(broker), await worker(broker)] as const
  for (const { app } of workers) closing.push(() => app.close({ timeout: 500 }))
  return { broker, workers }
}

/** Waits until all workers hold the same, and do so a moment later. */
export const converged = async (workers: readonly Worker[]): Promise<string> => {
  for (;;) {
    const first = await until(async () => {
      const [one, ...others] = await Promise.all(workers.map(({ held }) => held()))
      return others.every(other => other === one) ? one : null
    }, 20_000)
    await new Promise(resolve => setTimeout(resolve, 250))
    if ((await Promise.all(workers.map(({ held }) => held()))).every(other => other === first)) return first
  }
}
