import assert from 'node:assert/strict'
import { App } from '@iopa/appbuilder'
import type { IopaError, Listener } from '@iopa/transport'
import type { ContractCase } from './case.ts'
import { eventually, gate, served } from './served-app.ts'
import type { TransportSubject } from './subject.ts'

const quiet = { logger: false } as const

/** Listening, connecting, closing, and what must be left afterwards. */
export const lifecycleCases = (subject: TransportSubject): ContractCase[] => {
  const { connection = true, guarded = true, exclusive = true } = subject.features ?? {}
  const cases: ContractCase[] = [
    {
      name: 'says where it listens, and closes more than once',
      run: async () => {
        const transport = subject.transport({})
        const app = new App(quiet).use(transport).use(() => 'x')
        const [listener] = (await app.listen()) as [Listener]
        assert.ok(transport.schemes.includes(listener.url.protocol.slice(0, -1)))
        await Promise.all([listener.close({ timeout: 100 }), listener.close()])
        await app.close()
        assert.equal(app.live, 0)
      }
    },
    {
      name: 'leaves no live context behind',
      run: async () => {
        let count: App | undefined
        await served(
          subject,
          context => context.path,
          async ({ app, client }) => {
            count = app
            for (let number = 0; number < 20; number++) await client.get(`/${number}`)
          }
        )
        assert.equal(count?.live, 0)
      }
    },
    {
      name: 'finishes what is in work when it closes',
      run: async () => {
        const arrived = gate()
        const release = gate<string>()
        await served(
          subject,
          () => {
            arrived.open()
            return release.promise
          },
          async ({ app, client }) => {
            const sent = client.get('/x')
            await arrived.promise
            const closing = app.close({ timeout: 2000 })
            release.open('finished')
            assert.equal(await (await sent).text(), 'finished')
            await closing
            assert.equal(app.live, 0)
          }
        )
      }
    },
    {
      name: 'forces what does not finish in time, and tells the handler',
      run: async () => {
        const arrived = gate()
        let reason: unknown
        await served(
          subject,
          context => {
            context.signal.addEventListener('abort', () => {
              reason = (context.signal.reason as IopaError).code
            })
            arrived.open()
            return new Promise(() => undefined)
          },
          async ({ app, client }) => {
            const sent = client.get('/x').catch((error: unknown) => error)
            await arrived.promise
            await app.close({ timeout: 50 })
            assert.equal(app.live, 0)
            assert.ok(reason === 'shutdown' || reason === 'disconnect', `the handler heard ${reason}`)
            void sent
          },
          { timeout: 300 }
        )
      }
    },
    {
      name: 'settles what its client has sent when the client closes',
      run: async () => {
        const arrived = gate()
        await served(
          subject,
          () => {
            arrived.open()
            return new Promise(() => undefined)
          },
          async ({ client }) => {
            const sent = assert.rejects(client.get('/x'))
            await arrived.promise
            await client.close()
            await sent
          },
          { app: { limits: { requestTimeout: 500 } } }
        )
      }
    },
    {
      name: 'answers 503 beyond the requests that may be in work',
      run: async () => {
        const release = gate<string>()
        let running = 0
        await served(
          subject,
          () => {
            running++
            return release.promise
          },
          async ({ client }) => {
            const first = [client.get('/1'), client.get('/2')]
            await eventually('two requests are in work', () => running === 2)
            assert.equal((await client.get('/3')).status, 503)
            release.open('x')
            assert.deepEqual(
              (await Promise.all(first)).map(({ status }) => status),
              [200, 200]
            )
          },
          { app: { limits: { inFlight: 2 } } }
        )
      }
    }
  ]
  if (connection) {
    cases.push({
      name: 'rejects, and does not crash, when nobody listens',
      run: async () => {
        const transport = subject.transport({})
        const app = new App(quiet).use(transport)
        const [listener] = (await app.listen()) as [Listener]
        const url = subject.url(listener)
        await app.close()
        const clients = new App(quiet).use(transport)
        await assert.rejects(
          (async () => {
            const client = await clients.connect(url, { timeout: 500 })
            await client.get('/x')
          })()
        )
        await clients.close()
      }
    })
  }
  if (exclusive) {
    cases.push({
      name: 'rejects, and does not crash, when its port is taken',
      run: async () => {
        const app = new App(quiet).use(subject.transport({})).use(() => 'x')
        const [listener] = (await app.listen()) as [Listener]
        const second = new App(quiet).use(subject.transport({ port: Number(listener.url.port) }))
        await assert.rejects(second.listen())
        await app.close()
      }
    })
  }
  if (guarded) {
    cases.push({
      name: 'refuses to listen unprotected off loopback, and names allowUnauthenticated: true',
      run: async () => {
        await assert.rejects(new App(quiet).use(subject.transport({ host: '0.0.0.0' })).listen(), /allowUnauthenticated: true/)
        const app = new App(quiet).use(subject.transport({ host: '0.0.0.0', allowUnauthenticated: true }))
        await app.listen()
        await app.close({ timeout: 0 })
      }
    })
  }
  return cases
}
