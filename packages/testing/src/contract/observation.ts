import assert from 'node:assert/strict'
import type { Context } from '@iopa/appbuilder'
import { reply } from '@iopa/appbuilder'
import type { ContractCase } from './case.ts'
import { eventually, served } from './served-app.ts'
import type { TransportSubject } from './subject.ts'

const counter = () => {
  const state = { n: 0, status: 200 }
  const handler = async (context: Context): Promise<unknown> => {
    if (context.method === 'PUT') {
      state.n = (await context.json<{ n: number }>()).n
      return undefined
    }
    return state.status === 200 ? { n: state.n } : reply(state.status)
  }
  return { state, handler }
}

/** Observation: the first answer, each change, and every way in which it ends. */
export const observationCases = (subject: TransportSubject): ContractCase[] => {
  if (subject.features?.observe === false) return []
  return [
    {
      name: 'tells an observer the state and each change of it',
      run: async () => {
        const { handler } = counter()
        await served(subject, handler, async ({ client, app }) => {
          const seen: number[] = []
          for await (const answer of client.observe('/n')) {
            seen.push(((await answer.json()) as { n: number }).n)
            if (seen.length === 3) break
            await client.put('/n', { n: seen.length })
          }
          assert.deepEqual(seen, [0, 1, 2])
          await eventually('the observation has left nothing behind', () => app.live <= 2)
        })
      }
    },
    {
      name: 'tells observers of changes that the app itself names',
      run: async () => {
        const { handler, state } = counter()
        await served(subject, handler, async ({ client, app }) => {
          for await (const answer of client.observe('/n')) {
            if (((await answer.json()) as { n: number }).n === 9) break
            state.n = 9
            app.notify('/n')
          }
        })
      }
    },
    {
      name: 'ends an observation with its signal, on both sides',
      run: async () => {
        const { handler } = counter()
        await served(subject, handler, async ({ client, app }) => {
          const before = app.live
          const stop = new AbortController()
          let seen = 0
          for await (const _ of client.observe('/n', { signal: stop.signal })) {
            seen++
            setTimeout(() => stop.abort(), 10)
          }
          assert.equal(seen, 1)
          await eventually('the server has let the observer go', () => app.live <= Math.max(before, 1))
        })
      }
    },
    {
      name: 'throws when the peer refuses the observation',
      run: async () => {
        const { handler, state } = counter()
        state.status = 403
        await served(subject, handler, async ({ client }) => {
          const read = async (): Promise<void> => {
            for await (const _ of client.observe('/n')) assert.fail('an answer came')
          }
          await assert.rejects(read(), (error: { status?: number }) => error.status === 403)
        })
      }
    },
    {
      name: 'ends the observation when the state is gone',
      run: async () => {
        const { handler, state } = counter()
        await served(subject, handler, async ({ client, app }) => {
          const read = async (): Promise<void> => {
            for await (const _ of client.observe('/n')) {
              state.status = 404
              app.notify('/n')
            }
          }
          await read().catch((error: { status?: number }) => assert.equal(error.status, 404))
        })
      }
    },
    {
      name: 'gives each of several observers the newest state',
      run: async () => {
        const { handler, state } = counter()
        await served(subject, handler, async ({ client, app }) => {
          let ready = 0
          const last = async (): Promise<number> => {
            for await (const answer of client.observe('/n')) {
              const { n } = (await answer.json()) as { n: number }
              if (n === 0) ready++
              if (n === 50) return n
            }
            return -1
          }
          const observers = [last(), last(), last()]
          await eventually('all of them have the first answer', () => ready === 3)
          for (let n = 1; n <= 50; n++) {
            state.n = n
            app.notify('/n')
          }
          assert.deepEqual(await Promise.all(observers), [50, 50, 50])
        })
      }
    }
  ]
}
