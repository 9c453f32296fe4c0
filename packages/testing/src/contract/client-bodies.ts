import assert from 'node:assert/strict'
import type { IopaError, ReceivedAnswer } from '@iopa/transport'
import type { ContractCase } from './case.ts'
import { relay } from './peers.ts'
import { eventually, rejection, served, soon } from './served-app.ts'
import { StalledStream } from './stalled-stream.ts'
import type { TransportSubject } from './subject.ts'

/** The text of an answer; an answer that is not 2xx throws. */
const textOf = async (answer: ReceivedAnswer): Promise<string> => {
  const text = await answer.text()
  assert.ok(answer.ok, `answered ${answer.status}`)
  return text
}

/** What a client reads of a streamed answer: all of it, or an error. */
export const clientBodyCases = (subject: TransportSubject): ContractCase[] => {
  const { connection = true, resends = false } = subject.features ?? {}
  const cases: ContractCase[] = [
    {
      name: 'reads a streamed answer whole whose parts come with pauses',
      run: () =>
        served(
          subject,
          async function* () {
            for (const part of ['one ', 'two ', 'three']) {
              yield part
              await new Promise(resolve => setTimeout(resolve, 15))
            }
          } as never,
          async ({ client }) => {
            assert.equal(await textOf(await client.get('/x')), 'one two three')
            assert.equal(await textOf(await client.send({ 'iopa.Method': 'GET', 'iopa.Path': '/x' })), 'one two three')
          }
        )
    },
    {
      name: 'does not take a part of an answer for the whole when its stream fails',
      run: () =>
        served(
          subject,
          async function* () {
            yield 'part '
            await new Promise(resolve => setTimeout(resolve, 15))
            throw new Error('the stream fails')
          } as never,
          async ({ client }) => void (await rejection(client.get('/x').then(textOf)))
        )
    },
    {
      name: 'does not take a part of an answer for the whole when its time is over',
      run: () =>
        served(
          subject,
          () => new StalledStream(),
          async ({ client }) => {
            const error = (await rejection(client.get('/x').then(textOf))) as IopaError
            assert.deepEqual([error.status, error.code], [504, 'timeout'])
          },
          { timeout: 150 }
        )
    },
    {
      name: 'rejects with the reason of the signal while the body comes, at once',
      run: async () => {
        const stream = new StalledStream()
        await served(
          subject,
          () => stream,
          async ({ client }) => {
            const stop = new AbortController()
            const reason = new Error('enough')
            const reading = rejection(client.get('/x', { signal: stop.signal }).then(textOf))
            await eventually('the stream stalls', () => stream.stalls)
            // So that a client that streams has the head, and awaits the rest.
            await new Promise(resolve => setTimeout(resolve, 20))
            stop.abort(reason)
            assert.equal(await reading, reason)
          },
          { app: { limits: { requestTimeout: 500 } } }
        )
      }
    },
    {
      name: 'rejects what reads a body when its client closes',
      run: async () => {
        const stream = new StalledStream()
        await served(
          subject,
          () => stream,
          async ({ client }) => {
            const reading = rejection(client.get('/x').then(textOf))
            await eventually('the stream stalls', () => stream.stalls)
            await new Promise(resolve => setTimeout(resolve, 20))
            await client.close()
            assert.equal(((await reading) as IopaError).code, 'channel-closed')
          },
          { app: { limits: { requestTimeout: 500 } } }
        )
      }
    }
  ]
  if (connection && subject.features?.exclusive !== false) {
    cases.push({
      name: 'does not take a part of an answer for the whole when the connection is lost',
      run: async () => {
        const stream = new StalledStream()
        await served(
          subject,
          () => stream,
          async ({ clients, listener }) => {
            const between = await relay(subject.url(listener))
            const client = await clients.connect(between.url, { timeout: resends ? 400 : 5000 })
            try {
              const reading = rejection(client.get('/x').then(textOf))
              await eventually('the stream stalls', () => stream.stalls)
              await new Promise(resolve => setTimeout(resolve, 20))
              between.cut()
              const error = (await soon(reading)) as IopaError
              assert.deepEqual([error.status, error.code], resends ? [504, 'timeout'] : [502, 'disconnected'])
            } finally {
              await client.close()
              await between.close()
            }
          },
          { app: { limits: { requestTimeout: 500 } } }
        )
      }
    })
  }
  return cases
}
