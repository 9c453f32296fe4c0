import assert from 'node:assert/strict'
import type { App, Context } from '@iopa/appbuilder'
import { IopaError, parseUrl } from '@iopa/transport'
import { memory } from '../memory-transport.ts'
import { type ConformanceStatement, type ConformanceSubject, valueIn } from './statement.ts'

const payload = async (app: App, path: string): Promise<unknown> => valueIn(await app.invoke({ 'iopa.Path': path }))

/** Statements 23 to 30: URLs, mounting, errors, answers, transports. */
export const requestStatements = ({ createApp, transport = () => memory() }: ConformanceSubject): ConformanceStatement[] => [
  {
    number: 23,
    name: 'A URL is parsed: query without "?", fragment removed, numeric port with the default of the scheme, IPv6 host, path decoded; malformed escapes give 4xx.',
    run: async () => {
      assert.deepEqual(parseUrl('coap://[::1]/a%20b/c?x=1&y=2#frag'), { scheme: 'coap', host: '::1', port: 5683, path: '/a b/c', query: 'x=1&y=2' })
      assert.deepEqual(parseUrl('http://example.com:8080'), { scheme: 'http', host: 'example.com', port: 8080, path: '/', query: '' })
      for (const url of ['http://h/%E0%A4%A', 'http://h/%', 'http://h/%00', 'http://h/a%2Fb', 'http://h:99999/', 'nonsense']) {
        assert.throws(
          () => parseUrl(url),
          (error: IopaError) => error instanceof IopaError && error.status >= 400 && error.status < 500,
          url
        )
      }
    }
  },
  {
    number: 24,
    name: 'The rebuilt URI re-parses to the same parts; PathBase has no trailing slash, Path starts with "/".',
    run: async () => {
      const seen: Context[] = []
      const app = createApp().mount('/base/', context => {
        seen.push(context)
        const parts = parseUrl(context.url)
        return [context['iopa.PathBase'], context['iopa.Path'], parts.path, parts.query, parts.host, parts.port, parts.scheme]
      })
      const bag = {
        'iopa.Path': '/base/ä b/100%?'.replace('?', ''),
        'iopa.QueryString': 'x=%20',
        'iopa.Scheme': 'http',
        'iopa.Host': '::1',
        'iopa.Port': 81
      }
      const answer = await app.invoke(bag)
      assert.deepEqual(valueIn(answer), ['/base', '/ä b/100%', '/base/ä b/100%', 'x=%20', '::1', 81, 'http'])
      assert.equal(seen.length, 1)
    }
  },
  {
    number: 25,
    name: 'mount moves the prefix to PathBase, matches whole segments only, the most specific wins, and Path and PathBase are restored.',
    run: async () => {
      let after: string[] = []
      const app = createApp()
        .use(async (context, next) => {
          const value = await next()
          after = [context['iopa.PathBase'], context['iopa.Path']]
          return value
        })
        .mount('/a', context => `a ${context['iopa.PathBase']} ${context['iopa.Path']}`)
        .mount('/a/b', context => `ab ${context['iopa.PathBase']} ${context['iopa.Path']}`)
      assert.equal(await payload(app, '/a/x'), 'a /a /x')
      assert.equal(await payload(app, '/a/b/x'), 'ab /a/b /x')
      assert.deepEqual(after, ['', '/a/b/x'])
      assert.equal((await app.invoke({ 'iopa.Path': '/ab' })).status, 404)
    }
  },
  {
    number: 26,
    name: 'fork runs the branch only when its test is true, without fall-through, with the capabilities of the app.',
    run: async () => {
      const app = createApp()
      app.capabilities['urn:acme:x'] = { a: 1 }
      app.fork(
        context => context['iopa.Path'] === '/branch',
        branch => branch.use((context, next) => (context['iopa.Method'] === 'PUT' ? next() : context['server.Capabilities']['urn:acme:x']))
      )
      app.use(() => 'main')
      assert.deepEqual(await payload(app, '/branch'), { a: 1 })
      assert.equal(await payload(app, '/else'), 'main')
      assert.equal((await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/branch' })).status, 404)
    }
  },
  {
    number: 27,
    name: 'An error before the first byte is a 500-class answer that leaks nothing; after it, status and headers stay and the stream fails.',
    run: async () => {
      const app = createApp({ logger: false }).use(context => {
        if (context['iopa.Path'] === '/early') throw new Error('secret')
        context.response.headers.set('x-a', '1')
        return (async function* () {
          yield 'first'
          throw new Error('secret')
        })()
      })
      const early = await app.invoke({ 'iopa.Path': '/early' })
      assert.equal(early.status, 500)
      assert.ok(!(await early.text()).includes('secret'))
      const late = await app.invoke({ 'iopa.Path': '/late' })
      assert.deepEqual([late.status, late.headers.get('x-a')], [200, '1'])
      await assert.rejects(late.text())
      assert.equal(late.status, 200)
      assert.equal(app.live, 0)
    }
  },
  {
    number: 28,
    name: 'An unhandled request yields not-found, not success.',
    run: async () => {
      assert.equal((await createApp().invoke({ 'iopa.Path': '/x' })).status, 404)
      assert.equal((await createApp().invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/x' })).status, 404)
    }
  },
  {
    number: 29,
    name: 'OnSendingHeaders callbacks run once, last registered first, can change status, headers and reason; changes afterwards are refused.',
    run: async () => {
      const order: number[] = []
      const kept: Context[] = []
      const app = createApp().use(context => {
        kept.push(context)
        context['server.OnSendingHeaders'](() => void order.push(1))
        context['server.OnSendingHeaders'](() => {
          order.push(2)
          context.response.status = 202
          context.response.reason = 'Later'
          context.response.headers.set('x-late', 'yes')
        })
        return 'x'
      })
      const answer = await app.invoke({ 'iopa.Path': '/' })
      assert.deepEqual([order, answer.status, answer.reason, answer.headers.get('x-late')], [[2, 1], 202, 'Later', 'yes'])
      const response = (kept[0] as Context).response
      assert.throws(() => {
        response.status = 500
      }, Error)
      assert.throws(() => response.headers.set('a', 'b'), Error)
    }
  },
  {
    number: 30,
    name: 'listen and connect pick the registered transport, reject (never crash) for an unknown scheme, a taken place or nobody there; a peer that leaves aborts the signal with reason disconnect.',
    run: async () => {
      const shared = transport()
      let signal: AbortSignal | undefined
      const app = createApp({ logger: false })
        .use(shared)
        .use(context => {
          signal = context.signal
          return new Promise(() => undefined)
        })
      const clients = createApp({ logger: false }).use(shared)
      await assert.rejects(clients.connect('unknown://x'), Error)
      await assert.rejects(clients.connect(`${shared.schemes[0]}://app`), Error)
      const [listener] = await app.listen()
      await assert.rejects(createApp({ logger: false }).use(shared).listen(), Error)
      const client = await clients.connect((listener as { url: URL }).url)
      const sent = assert.rejects(client.get('/'))
      while (signal === undefined) await new Promise(resolve => setTimeout(resolve, 1))
      await client.close()
      await sent
      assert.deepEqual([signal.aborted, (signal.reason as IopaError).code], [true, 'disconnect'])
      await clients.close()
      await app.close({ timeout: 0 })
      assert.equal(app.live, 0)
    }
  }
]
