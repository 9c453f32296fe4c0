import assert from 'node:assert/strict'
import { reply } from '@iopa/appbuilder'
import type { Client, IopaError } from '@iopa/transport'
import type { ContractCase } from './case.ts'
import { relay } from './peers.ts'
import { eventually, gate, rejection, relayed, served, soon, unanswered } from './served-app.ts'
import { StalledStream } from './stalled-stream.ts'
import type { TransportSubject } from './subject.ts'

const first = async (client: Client, path: string): Promise<unknown> => {
  for await (const answer of client.observe(path)) return answer
  return 'ended'
}

const facts = (error: unknown): readonly unknown[] => {
  const { status, code, detail } = error as IopaError
  return [status, code, detail]
}

const CLOSED = [503, 'closed', 'The client is closed: connect again.']

/** How a client ends, and what it says when its peer does: one code and one sentence for each, on every protocol. */
export const clientEndingCases = (subject: TransportSubject): ContractCase[] => {
  const { observe = true, connection = true, exclusive = true, resends = false, redirects = true, statuses } = subject.features ?? {}
  const refusals = subject.features?.refusals ?? statuses
  const cases: ContractCase[] = [
    {
      name: 'rejects what waits when it closes, and what is asked of it afterwards',
      run: () =>
        unanswered(subject, async ({ client, arrived }) => {
          const stream = new StalledStream()
          const waiting = [rejection(client.get('/x')), rejection(client.put('/x', stream))]
          await arrived
          await soon(client.close())
          for (const error of await Promise.all(waiting)) assert.deepEqual(facts(error), CLOSED)
          await eventually('the body that was still to come is given up', () => stream.returned)
          const later = [client.get('/x'), client.put('/x', 'y'), client.send({ 'iopa.Path': '/x' }), ...(observe ? [first(client, '/x')] : [])]
          for (const asked of later) assert.deepEqual(facts(await rejection(asked)), CLOSED)
        })
    }
  ]
  if (exclusive) {
    cases.push({
      name: 'rejects with 502 connect-failed where the name of the server is unknown',
      run: () =>
        served(
          subject,
          () => 'x',
          async ({ clients, listener }) => {
            const url = new URL(subject.url(listener))
            url.hostname = 'nowhere.invalid'
            const [status, code, detail] = facts(await rejection(clients.connect(url.href, { timeout: 5000 })))
            assert.deepEqual([status, code], [502, 'connect-failed'])
            assert.match(String(detail), /^Cannot connect to /)
          }
        )
    })
  }
  if (connection && exclusive) {
    cases.push({
      name: 'rejects with 502 disconnected at a server that ends each connection at once',
      run: () =>
        served(
          subject,
          () => 'x',
          async ({ clients, listener }) => {
            const between = await relay(subject.url(listener))
            between.cut()
            try {
              const asked = async (): Promise<void> => {
                const client = await clients.connect(between.url, { timeout: 5000 })
                await client.post('/x', 'y').finally(() => client.close())
              }
              assert.deepEqual(facts(await rejection(asked())), [502, 'disconnected', 'The connection was lost before the answer came.'])
            } finally {
              await between.close()
            }
          }
        )
    })
    cases.push({
      name: 'rejects with 502 disconnected when the connection is lost, and asks on another one afterwards',
      run: () => {
        let silent = true
        const arrived = gate()
        return served(
          subject,
          () => {
            arrived.open()
            return silent ? new Promise(() => undefined) : 'x'
          },
          all =>
            relayed(
              subject,
              all,
              async ({ client, between }) => {
                const waiting = rejection(client.post('/x', 'y'))
                await arrived.promise
                if (resends) {
                  between.cut()
                  const [status, code] = facts(await waiting)
                  assert.deepEqual([status, code], [504, 'timeout'])
                  return
                }
                between.drop()
                assert.deepEqual(facts(await waiting), [502, 'disconnected', 'The connection was lost before the answer came.'])
                silent = false
                assert.equal(await (await client.get('/x')).text(), 'x')
              },
              resends ? { timeout: 400 } : {}
            ),
          { app: { limits: { requestTimeout: 300 } } }
        )
      }
    })
  }
  if (!observe) return cases
  cases.push({
    name: 'says that an observation is refused, and with which status',
    run: () =>
      served(
        subject,
        context => reply(Number(context.segments[0]), 'no'),
        async ({ client }) => {
          for (const status of [401, 403, 503]) {
            const [stated, code, detail] = facts(await rejection(first(client, `/${status}`)))
            if (refusals === undefined || refusals.includes(status)) assert.equal(stated, status)
            assert.deepEqual([code, detail], ['refused', `The peer answers this observation with ${stated}.`])
          }
        }
      )
  })
  if (redirects) {
    cases.push({
      name: 'says where an observation is redirected to',
      run: () =>
        served(
          subject,
          () => reply(307, undefined, { location: '/elsewhere' }),
          async ({ client }) => {
            const [status, code, detail] = facts(await rejection(first(client, '/x')))
            assert.deepEqual([status, code, detail], [502, 'redirected', 'The peer redirects this observation: observe /elsewhere.'])
          }
        )
    })
  }
  return cases
}
