import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { serveLoad } from './served-app.ts'

/** One cell of the matrix. */
export interface Cell {
  readonly version: 4 | 5
  readonly publishers: number
  /** Milliseconds that a handler takes. */
  readonly handler: number
  /** Milliseconds of load. */
  readonly duration: number
  /** Publishers whose handlers wait for them. */
  readonly asks: number
}

export interface CellResult {
  readonly acknowledged: number
  readonly refused: number
  readonly closed: number
  readonly answered: number
  readonly fast: number
  readonly slow: number
  /** Subscribers whose sessions ended since they took too little. */
  readonly expelled: number
  /** Fast subscribers of QoS 1 whose queue overflowed. */
  readonly outrun: number
  readonly asides: number
  readonly p50: number
  readonly p99: number
  /** MiB that the heap and its buffers grew by in the second half. */
  readonly growth: number
  readonly lines: readonly string[]
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
const mebibytes = (): number => {
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return (heapUsed + arrayBuffers) / 1024 / 1024
}

const child = async (name: string, form: object): Promise<ChildProcess> => {
  const process = fork(new URL(name, import.meta.url), [JSON.stringify(form)], { execArgv: [] })
  const [message] = (await Promise.race([once(process, 'message'), once(process, 'exit')])) as [unknown]
  if (message !== 'ready') throw new Error(`${name} ended: ${String(message)}`)
  return process
}

const ask = async (process: ChildProcess): Promise<Record<string, number>> => {
  const answer = once(process, 'message') as Promise<[Record<string, number>]>
  process.send('totals')
  return (await answer)[0]
}

const pause = (milliseconds: number): Promise<void> => new Promise(resolve => setTimeout(resolve, milliseconds))

/** Runs one cell: publishers at their receive maximum, subscribers of all kinds, and clients that have nothing to do with them. */
export const runCell = async ({ version, publishers, handler, duration, asks }: Cell): Promise<CellResult> => {
  const { app, port, lines, answered } = await serveLoad(handler)
  const listening = await child('subscribers.mjs', { port, version, fast: 4, slow: 2, dead: 2 })
  const unrelated = await child('unrelated.mjs', { port, version })
  // MQTT 3.1.1 has no receive maximum; a publisher of a handler that waits for it leaves room for what it waits for.
  const sending = await child('publishers.mjs', { port, version, count: publishers, window: version === 5 ? 64 : 60, asks })
  sending.send('go')
  await pause(duration / 2)
  const before = mebibytes()
  // What waited for the collection is not counted either.
  await pause(Math.min(200, duration / 4))
  unrelated.send('reset')
  await pause(duration / 2)
  let [sent, heard, aside] = [await ask(sending), await ask(listening), await ask(unrelated)]
  // After the times were asked for: a forced collection stops the server for longer than any of its own turns.
  const after = mebibytes()
  // A machine that is busy may need longer until each kind of client has had its turn.
  while (!(sent['acknowledged']! > 0 && answered() > 0 && aside['asides']! > 10)) {
    await pause(100)
    ;[sent, heard, aside] = [await ask(sending), await ask(listening), await ask(unrelated)]
  }
  sending.send('end')
  listening.send('end')
  unrelated.send('end')
  await Promise.all([sending, listening, unrelated].map(process => once(process, 'exit')))
  await app.close({ timeout: 2000 })
  const closed = [sent, heard, aside].reduce((sum, totals) => sum + (totals['closed'] ?? 0), 0)
  const figures = { ...sent, ...heard, ...aside, closed, answered: answered() }
  return { ...(figures as unknown as CellResult), growth: after - before, lines }
}
