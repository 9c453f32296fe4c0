import assert from 'node:assert/strict'
import type { IopaError, ReceivedAnswer } from '@iopa/transport'
import type { ContractCase } from './case.ts'
import { rejection, relayed, served, soon, stalling } from './served-app.ts'
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
        stalling(
          subject,
          async ({ client }) => {
            const error = (await rejection(client.get('/x').then(textOf))) as IopaError
            assert.deepEqual([error.status, error.code], [504, 'timeout'])
          },
          { timeout: 150 }
        )
    },
    {
      name: 'rejects with the reason of the signal while the body comes, at once',
      run: () =>
        stalling(subject, async ({ client, stalled }) => {
          const stop = new AbortController()
          const reason = new Error('enough')
          const reading = rejection(client.get('/x', { signal: stop.signal }).then(textOf))
          await stalled()
          stop.abort(reason)
          assert.equal(await reading, reason)
        })
    },
    {
      name: 'rejects what reads a body when its client closes',
      run: () =>
        stalling(subject, async ({ client, stalled }) => {
          const reading = rejection(client.get('/x').then(textOf))
          await stalled()
          await client.close()
          assert.equal(((await reading) as IopaError).code, 'closed')
        })
    }
  ]
  if (connection && subject.features?.exclusive !== false) {
    cases.push({
      name: 'does not take a part of an answer for the whole when the connection is lost',
      run: () =>
        stalling(subject, ({ stalled, ...all }) =>
          relayed(
            subject,
            all,
            async ({ client, between }) => {
              const reading = rejection(client.get('/x').then(textOf))
              await stalled()
              between.cut()
              const error = (await soon(reading)) as IopaError
              assert.deepEqual([error.status, error.code], resends ? [504, 'timeout'] : [502, 'disconnected'])
            },
            resends ? { timeout: 400 } : {}
          )
        )
    })
  }
  return cases
}
