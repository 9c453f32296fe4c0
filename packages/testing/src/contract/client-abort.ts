import assert from 'node:assert/strict'
import type { Client, RequestOptions } from '@iopa/transport'
import type { ContractCase } from './case.ts'
import { silentPeer } from './peers.ts'
import { eventually, gate, rejection, served, soon, unanswered } from './served-app.ts'
import { StalledStream } from './stalled-stream.ts'
import type { TransportSubject } from './subject.ts'

type Asking = readonly [name: string, ask: (client: Client, options: RequestOptions) => Promise<unknown>]

const ASKING: readonly Asking[] = [
  ['get', (client, options) => client.get('/x', options)],
  ['put', (client, options) => client.put('/x', 'y', options)],
  ['post', (client, options) => client.post('/x', 'y', options)],
  ['patch', (client, options) => client.patch('/x', 'y', options)],
  ['delete', (client, options) => client.delete('/x', options)],
  ['send', (client, { signal }) => client.send({ 'iopa.Method': 'PUT', 'iopa.Path': '/x', 'iopa.Body': 'y', 'iopa.CallCancelled': signal! })],
  [
    'observe',
    async (client, options) => {
      for await (const _ of client.observe('/x', options)) assert.fail('an answer came')
      return 'ended'
    }
  ]
]

/** A signal that aborts after `ms` milliseconds with a known reason. */
const abortAfter = (ms: number): { readonly signal: AbortSignal; readonly reason: Error } => {
  const stop = new AbortController()
  const reason = new Error('enough')
  setTimeout(() => stop.abort(reason), ms)
  return { signal: stop.signal, reason }
}

/** Signals: what they end, when, and with what. Promises reject with the reason; observations end. */
export const clientAbortCases = (subject: TransportSubject): ContractCase[] => {
  const { observe = true, connection = true, exclusive = true } = subject.features ?? {}
  const asking = observe ? ASKING : ASKING.filter(([name]) => name !== 'observe')
  const cases: ContractCase[] = [
    {
      name: 'sends nothing where the signal has aborted before, and rejects with its reason',
      run: async () => {
        let ran = 0
        await served(
          subject,
          () => void ran++,
          async ({ client, clients, listener }) => {
            const reason = new Error('before')
            const signal = AbortSignal.abort(reason)
            for (const [name, ask] of asking) {
              const outcome = await soon(ask(client, { signal }).catch((error: unknown) => error))
              assert.equal(outcome, name === 'observe' ? 'ended' : reason, name)
            }
            assert.equal(await rejection(clients.connect(subject.url(listener), { signal })), reason)
            await client.put('/x', 'y')
            assert.equal(ran, 1)
          }
        )
      }
    },
    {
      name: 'rejects at once with the reason of the signal while the answer is awaited',
      run: async () => {
        let arrived = gate()
        await served(
          subject,
          () => {
            arrived.open()
            return new Promise(() => undefined)
          },
          async ({ client }) => {
            for (const [name, ask] of asking) {
              // Over some protocols, waiting for the first answer does not hold a request.
              if (name === 'observe') continue
              arrived = gate()
              const stop = new AbortController()
              const outcome = ask(client, { signal: stop.signal }).catch((error: unknown) => error)
              await soon(arrived.promise)
              const reason = new Error(name)
              stop.abort(reason)
              assert.equal(await soon(outcome, 200), reason)
            }
          },
          { app: { limits: { requestTimeout: 300 } } }
        )
      }
    },
    {
      name: 'tells a signal that times out from a peer that does not answer',
      run: () =>
        unanswered(subject, async ({ client }) => {
          const error = (await rejection(client.get('/x', { signal: AbortSignal.timeout(30) }))) as Error
          assert.equal(error.name, 'TimeoutError')
        })
    },
    {
      name: 'rejects at once while the body to be sent is still to come, and gives that up',
      run: () =>
        served(
          subject,
          async context => (await context.bytes()).length,
          async ({ client }) => {
            const stream = new StalledStream()
            const { signal, reason } = abortAfter(40)
            assert.equal(await rejection(client.put('/x', stream, { signal })), reason)
            await eventually('the stream is given up', () => stream.returned)
            assert.equal((await client.put('/x', 'abc')).ok, true)
          },
          { app: { limits: { requestTimeout: 300 } } }
        )
    }
  ]
  if (observe) {
    cases.push({
      name: 'ends an observation at once between two notifications',
      run: () =>
        served(
          subject,
          () => 'state',
          async ({ client }) => {
            const stop = new AbortController()
            const answers = client.observe('/x', { signal: stop.signal })[Symbol.asyncIterator]()
            assert.equal((await soon(answers.next())).done, false)
            const next = answers.next()
            stop.abort(new Error('enough'))
            assert.equal((await soon(next, 200)).done, true)
          }
        )
    })
  }
  // Where the port of a URL means nothing, no other peer can be reached.
  if (!exclusive) return cases
  const toSilentPeer: readonly Asking[] = [
    ...asking,
    ['put of a large body', (client, options) => client.put('/x', new Uint8Array(connection ? 1_000_000 : 30_000), options)]
  ]
  cases.push({
    name: 'ends at once with its signal at a peer that says nothing: connecting, writing, observing',
    run: () =>
      served(
        subject,
        () => 'x',
        async ({ clients, listener }) => {
          const peer = await silentPeer(subject.url(listener), !connection)
          try {
            await Promise.all(
              toSilentPeer.map(async ([name, ask]) => {
                const { signal, reason } = abortAfter(60)
                let client: Client | undefined
                const asked = (async () => {
                  client = await clients.connect(peer.url, { signal, timeout: 5000 })
                  return ask(client, { signal })
                })()
                const outcome = await soon(
                  asked.catch((error: unknown) => error),
                  600
                )
                assert.equal(outcome === 'ended' && name === 'observe' ? reason : outcome, reason, name)
                await client?.close()
              })
            )
          } finally {
            await peer.close()
          }
        }
      )
  })
  return cases
}
