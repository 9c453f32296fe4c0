import assert from 'node:assert/strict'
import type { Context } from '@iopa/appbuilder'
import { reply } from '@iopa/appbuilder'
import { IopaError } from '@iopa/transport'
import type { ContractCase } from './case.ts'
import { eventually, gate, served } from './served-app.ts'
import type { TransportSubject } from './subject.ts'

const STATUSES = [200, 201, 204, 400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 429, 500, 501, 503]

/** Requests and answers. */
export const requestCases = (subject: TransportSubject): ContractCase[] => {
  const {
    headers = true,
    query = true,
    anyMethod = true,
    anySegment = true,
    cancel = true,
    problems = true,
    statuses = STATUSES
  } = subject.features ?? {}
  const cases: ContractCase[] = [
    {
      name: 'answers with status, content type and body',
      run: () =>
        served(
          subject,
          context => ({ path: context.path, method: context.method }),
          async ({ client }) => {
            const answer = await client.get('/lights/hall')
            assert.equal(answer.status, 200)
            assert.match(answer.type, /^application\/json/)
            assert.deepEqual(await answer.json(), { path: '/lights/hall', method: 'GET' })
          }
        )
    },
    {
      name: 'carries a JSON body, its content type, text and bytes to the handler',
      run: () =>
        served(
          subject,
          async context => {
            if (context.path === '/json') return { got: await context.json() }
            if (context.path === '/text') return (await context.text()).toUpperCase()
            return (await context.bytes()).slice().reverse()
          },
          async ({ client }) => {
            assert.deepEqual(await (await client.put('/json', { on: true, name: 'hállo' })).json(), { got: { on: true, name: 'hállo' } })
            assert.equal(await (await client.post('/text', 'abc', { type: 'text/plain' })).text(), 'ABC')
            assert.deepEqual([...(await (await client.post('/bytes', new Uint8Array([1, 2, 255]))).bytes())], [255, 2, 1])
          }
        )
    },
    {
      name: 'carries PUT, POST, PATCH and DELETE as such',
      run: () =>
        served(
          subject,
          context => context.method,
          async ({ client }) => {
            const answers = [await client.put('/x', 'a'), await client.post('/x', 'a'), await client.patch('/x', 'a'), await client.delete('/x')]
            assert.deepEqual(await Promise.all(answers.map(answer => answer.text())), ['PUT', 'POST', 'PATCH', 'DELETE'])
          }
        )
    },
    {
      name: 'hands the path over canonical: decoded once, a trailing slash kept',
      run: () =>
        served(
          subject,
          context => ({ path: context.path, segments: context.segments }),
          async ({ client }) => {
            const paths = anySegment ? ['/', '/a/b', '/a/', '/a b/ü', '/100%25', '/a+b'] : ['/', '/a/b', '/a/']
            for (const path of paths)
              assert.deepEqual(await (await client.get(path)).json(), { path, segments: path === '/' ? [] : path.slice(1).split('/') })
          }
        )
    },
    {
      name: 'answers 404 where no handler is, and 204 where a handler of PUT sets nothing',
      run: () =>
        served(
          subject,
          (context, next) => (context.path === '/known' ? undefined : next()),
          async ({ client }) => {
            assert.equal((await client.get('/none')).status, 404)
            assert.equal((await client.put('/known', 'x')).status, 204)
          }
        )
    },
    {
      name: 'carries the statuses of the neutral model',
      run: () =>
        served(
          subject,
          async context => {
            const status = Number(context.segments[0])
            if (status >= 400) throw new IopaError(status, 'some-code', 'Some detail.')
            return reply(status, status === 204 ? undefined : 'x')
          },
          async ({ client }) => {
            for (const status of statuses) assert.equal((await client.post(`/${status}`, 'x')).status, status)
          }
        )
    },
    {
      name: 'tells nothing of an unexpected error, and logs it once',
      run: () =>
        served(
          subject,
          () => {
            throw new Error('the password is 1234')
          },
          async ({ client, errors }) => {
            const answer = await client.get('/x')
            assert.equal(answer.status, 500)
            assert.doesNotMatch((await answer.text()) + [...answer.headers].join(), /1234|at .*\.ts/)
            assert.equal(errors.length, 1)
          }
        )
    },
    {
      name: 'refuses a body over the limit with 413, and serves on',
      run: () =>
        served(
          subject,
          async context => (await context.bytes()).length,
          async ({ client }) => {
            const big = new Uint8Array(2000)
            // A peer may close the connection instead of reading the rest.
            const status = await client.put('/x', big).then(
              answer => answer.status,
              (error: IopaError) => (error.status === 502 ? 413 : error.status)
            )
            assert.equal(status, 413)
            assert.equal(await (await client.put('/x', new Uint8Array(10))).text(), '10')
          },
          { app: { limits: { body: 1000 } } }
        )
    },
    {
      name: 'answers many requests at once, each with its own answer',
      run: () =>
        served(
          subject,
          async context => {
            const number = Number(context.segments[0])
            if (number % 3 === 0) await new Promise(resolve => setTimeout(resolve, number % 7))
            return { number }
          },
          async ({ client }) => {
            const numbers = Array.from({ length: 40 }, (_, index) => index)
            const answers = await Promise.all(numbers.map(async number => (await (await client.get(`/${number}`)).json()) as { number: number }))
            assert.deepEqual(
              answers,
              numbers.map(number => ({ number }))
            )
          }
        )
    },
    {
      name: 'collects or streams a streamed answer whole',
      run: () =>
        served(
          subject,
          async function* () {
            for (let part = 0; part < 5; part++) {
              await null
              yield `part ${part} `
            }
          } as never,
          async ({ client }) => assert.equal(await (await client.get('/x')).text(), 'part 0 part 1 part 2 part 3 part 4 ')
        )
    },
    {
      name: 'shows the handler scheme, protocol, peer and a session',
      run: () =>
        served(
          subject,
          context => [context.scheme, context.protocol, context.remoteAddress, context['server.IsLocalOrigin'], context['iopa.Version']],
          async ({ client, listener }) => {
            const [scheme, protocol, address, local, version] = (await (await client.get('/x')).json()) as [string, string, string, boolean, string]
            assert.equal(scheme, listener.url.protocol.slice(0, -1))
            assert.match(protocol, /^[\w+.-]+\/[\d.]+$/)
            assert.match(address, /^(127\.|::1|::ffff:127\.)/)
            assert.deepEqual([local, version], [false, '5.0'])
          }
        )
    },
    {
      name: 'gives up a request whose signal aborts',
      run: async () => {
        const arrived = gate<Context>()
        await served(
          subject,
          context => {
            arrived.open(context)
            return new Promise(() => undefined)
          },
          async ({ client }) => {
            const stop = new AbortController()
            const sent = client.get('/x', { signal: stop.signal })
            const context = await arrived.promise
            const signal = context.signal
            stop.abort()
            await assert.rejects(sent)
            if (cancel) {
              await eventually('the handler hears that the client has gone', () => signal.aborted)
              assert.equal((signal.reason as IopaError).code, 'disconnect')
            }
          },
          { app: { limits: { requestTimeout: 1500 } } }
        )
      }
    },
    {
      name: 'rejects with 504 when no answer comes in time',
      run: () =>
        served(
          subject,
          () => new Promise(() => undefined),
          async ({ client }) => assert.rejects(client.get('/x'), (error: IopaError) => error.status === 504),
          { timeout: 200, app: { limits: { requestTimeout: 1000 } } }
        )
    },
    {
      name: 'answers 504 itself when a handler takes too long',
      run: () =>
        served(
          subject,
          () => new Promise(() => undefined),
          async ({ client }) => assert.equal((await client.get('/x')).status, 504),
          { app: { limits: { requestTimeout: 100 } } }
        )
    }
  ]
  if (headers) {
    cases.push({
      name: 'carries headers both ways, without regard to case',
      run: () =>
        served(
          subject,
          context => reply(200, context.headers.get('X-ASKED'), { 'x-answered': 'yes' }),
          async ({ client }) => {
            const answer = await client.get('/x', { headers: { 'X-Asked': 'hello' } })
            assert.equal(await answer.text(), 'hello')
            assert.equal(answer.headers.get('X-Answered'), 'yes')
          }
        )
    })
  }
  if (query) {
    cases.push({
      name: 'carries the query, without the question mark',
      run: () =>
        served(
          subject,
          context => [context['iopa.QueryString'], context.query.get('b')],
          async ({ client }) => assert.deepEqual(await (await client.get('/x?a=1&b=c%20d')).json(), ['a=1&b=c%20d', 'c d'])
        )
    })
  }
  if (anyMethod) {
    cases.push({
      name: 'lets no peer ask for a control method',
      run: () =>
        served(
          subject,
          context => `ran ${context.method}`,
          async ({ client }) => {
            for (const method of ['SUBSCRIBE', 'DATA', 'DISCONNECT']) {
              const answer = await client.send({ 'iopa.Method': method, 'iopa.Path': '/x' }).catch((error: IopaError) => error)
              assert.equal(answer.status, 400)
            }
          }
        )
    })
  }
  if (problems) {
    cases.push({
      name: 'says in an error which code it is and what to do',
      run: () =>
        served(
          subject,
          () => Promise.reject(new IopaError(422, 'invalid-field', "'level' must be a number.")),
          async ({ client }) => {
            const problem = (await (await client.get('/x')).json()) as Record<string, unknown>
            assert.deepEqual([problem['status'], problem['code'], problem['detail']], [422, 'invalid-field', "'level' must be a number."])
          }
        )
    })
  }
  return cases
}
