import type { ServerResponse } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { App, reply, type User } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { memory, virtualClock } from '@iopa/testing'
import helmet from 'helmet'
import passport from 'passport'
import { BasicStrategy } from 'passport-http'
import { describe, expect, test } from 'vitest'
import { connect } from '../src/index.ts'
import { errors, eventually, serve } from './support.ts'

describe('connect()', () => {
  test('sets the header fields of middleware in the answer of the app, on success and failure', async () => {
    const { origin } = await serve(app => {
      app.use(connect(helmet()))
      const routes = app.use(router())
      routes.get('/', () => 'hello')
      routes.get('/fails', () => {
        throw new Error('no')
      })
    })
    for (const [path, status] of [
      ['/', 200],
      ['/fails', 500],
      ['/none', 404]
    ] as const) {
      const answer = await fetch(origin + path)
      expect([answer.status, answer.headers.get('x-content-type-options'), answer.headers.get('x-frame-options')]).toEqual([
        status,
        'nosniff',
        'SAMEORIGIN'
      ])
      await answer.arrayBuffer()
    }
  })

  test('runs a strategy of passport, and its user is that of the app', async () => {
    const auth = new passport.Passport()
    auth.use(new BasicStrategy((name, password, done) => done(null, password === 'secret' ? { name } : false)))
    const { origin } = await serve(app => {
      app
        .use(connect(auth.initialize()))
        .use(
          connect(auth.authenticate('basic', { session: false }), { user: (account: { name: string }): User => ({ id: account.name, by: 'basic' }) })
        )
      const routes = app.use(router())
      routes.get('/me', context => [context.user?.id, (context['connect.Request']?.['user'] as { name: string } | undefined)?.name])
    })
    const refused = await fetch(`${origin}/me`)
    expect([refused.status, refused.headers.get('www-authenticate'), await refused.text()]).toEqual([401, 'Basic realm="Users"', 'Unauthorized'])
    const wrong = await fetch(`${origin}/me`, { headers: { authorization: `Basic ${btoa('ann:wrong')}` } })
    expect(wrong.status).toBe(401)
    await wrong.arrayBuffer()
    const served = await fetch(`${origin}/me`, { headers: { authorization: `Basic ${btoa('ann:secret')}` } })
    expect([served.status, await served.json()]).toEqual([200, ['ann', 'ann']])
  })

  test('refuses what has no user with 401, also where the middleware lets it pass and where it does not run', async () => {
    const guard = connect((_req, _res, next) => next(), { user: () => undefined })
    const { app, origin } = await serve(app => {
      app.use(guard).use(memory())
      const routes = app.use(router())
      routes.get('/', () => 'secret')
    })
    expect((await fetch(origin)).status).toBe(401)
    const client = await app.connect(
      app
        .explain()
        .transports.flatMap(({ urls }) => urls)
        .find(url => url.startsWith('memory')) ?? 'memory://localhost'
    )
    expect((await client.get('/')).status).toBe(401)
    await client.close()
    expect((await app.invoke({ 'iopa.Path': '/' })).status).toBe(200)
  })

  test('does nothing on other protocols', async () => {
    let runs = 0
    const { app } = await serve(app => {
      app.use(
        connect((_req, res, next) => {
          runs++
          res.setHeader('x-own', 'yes')
          next()
        })
      )
      const routes = app.use(router())
      routes.get('/', () => 'hello')
    })
    const answer = await app.invoke({ 'iopa.Path': '/' })
    expect([answer.status, answer.headers.has('x-own'), runs]).toEqual([200, false, 0])
  })

  test('ends the run where the middleware answers by itself', async () => {
    let reached = false
    const { origin } = await serve(app => {
      app.use(
        connect((req, res, next) => {
          if (req.url === '/whole') {
            res.statusCode = 201
            res.statusMessage = 'Made'
            res.setHeader('x-own', ['a', 'b'])
            res.end('täxt')
          } else if (req.url === '/bytes') res.writeHead(200, { 'Content-Type': 'image/png' }).end(Buffer.from([1, 2, 3]))
          else if (req.url === '/none') res.writeHead(204).end()
          else if (req.url === '/late') setTimeout(() => res.end('late'), 1)
          else next()
        })
      )
      app.use(() => {
        reached = true
        return 'app'
      })
    })
    const whole = await fetch(`${origin}/whole`)
    expect([whole.status, whole.statusText, whole.headers.get('x-own'), whole.headers.get('content-type'), await whole.text()]).toEqual([
      201,
      'Made',
      'a, b',
      'text/plain; charset=utf-8',
      'täxt'
    ])
    const bytes = await fetch(`${origin}/bytes`)
    expect([bytes.headers.get('content-type'), bytes.headers.get('content-length'), [...new Uint8Array(await bytes.arrayBuffer())]]).toEqual([
      'image/png',
      '3',
      [1, 2, 3]
    ])
    expect((await fetch(`${origin}/none`)).status).toBe(204)
    expect(await (await fetch(`${origin}/late`)).text()).toBe('late')
    expect(reached).toBe(false)
    expect(await (await fetch(`${origin}/else`)).text()).toBe('app')
  })

  test('streams what the middleware writes, at the pace of the client', async () => {
    let written = 0
    let closed = false
    const { app, origin } = await serve(app => {
      app.use(
        connect((_req, res) => {
          const chunk = Buffer.alloc(64 * 1024, 'x')
          const more = (): void => {
            while (!res.destroyed && res.write(chunk)) written += chunk.length
            written += chunk.length
          }
          res.on('drain', more)
          res.on('close', () => (closed = true))
          more()
        })
      )
    })
    const stop = new AbortController()
    const answer = await fetch(origin, { signal: stop.signal })
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
    await reader.read()
    let before = -1
    while (before !== written) {
      before = written
      await wait(30)
    }
    expect(written).toBeLessThan(64 * 1024 * 1024)
    stop.abort()
    await reader.read().catch(() => undefined)
    await eventually('the response is closed', () => closed)
    await eventually('only the listener lives', () => app.live === 0)
  })

  test('reads the body of a request as a stream', async () => {
    const { origin } = await serve(app => {
      app.use(
        connect((req, _res, next) => {
          let text = ''
          req.setEncoding('utf8')
          req.on('data', chunk => (text += chunk))
          req.on('end', () => {
            Object.assign(req, { body: JSON.parse(text) })
            next()
          })
        })
      )
      const routes = app.use(router())
      routes.post('/', context => ({ got: context['connect.Request']?.['body'] }))
    })
    const answer = await fetch(origin, { method: 'POST', body: JSON.stringify({ big: 'ü'.repeat(100_000) }) })
    expect(((await answer.json()) as { got: { big: string } }).got.big.length).toBe(100_000)
  })

  test('leaves a body that the middleware does not read to the app', async () => {
    const { origin } = await serve(app => {
      app.use(connect(helmet()))
      const routes = app.use(router())
      routes.post('/', context => context.text())
    })
    expect(await (await fetch(origin, { method: 'POST', body: 'mine' })).text()).toBe('mine')
  })

  test('makes what is given to next() the error of the run', async () => {
    const caught: unknown[] = []
    const fails = (error: unknown) =>
      connect((_req, _res, next) => {
        next(error)
      })
    const { origin } = await serve(app => {
      app.use(async (_context, next) => {
        try {
          return await next()
        } catch (error) {
          caught.push(error)
          throw error
        }
      })
      const routes = app.use(router())
      routes.get('/plain', fails(new Error('inner')), () => 'never')
      routes.get('/stated', fails(Object.assign(new Error('too many'), { status: 429, headers: { 'retry-after': '9' } })), () => 'never')
      routes.get('/hidden', fails(Object.assign(new Error('inner'), { statusCode: 503 })), () => 'never')
      routes.get('/text', fails('odd'), () => 'never')
      routes.get(
        '/thrown',
        connect(() => {
          throw new Error('inner')
        }),
        () => 'never'
      )
      routes.get(
        '/rejected',
        connect(async () => {
          throw new Error('inner')
        }),
        () => 'never'
      )
      routes.get('/route', fails('route'), () => 'reached')
    })
    const problem = async (path: string): Promise<unknown[]> => {
      const answer = await fetch(origin + path)
      const { code, detail } = (await answer.json()) as { code: string; detail?: string }
      return [answer.status, code, detail]
    }
    expect(await problem('/plain')).toEqual([500, 'internal-error', undefined])
    expect(await problem('/stated')).toEqual([429, 'middleware-refused', 'too many'])
    expect((await problem('/hidden')).slice(0, 2)).toEqual([503, 'middleware-refused'])
    expect(JSON.stringify(await problem('/hidden'))).not.toContain('inner')
    for (const path of ['/text', '/thrown', '/rejected']) expect((await problem(path)).slice(0, 2)).toEqual([500, 'internal-error'])
    expect(caught).toHaveLength(7)
    expect(await (await fetch(`${origin}/route`)).text()).toBe('reached')
  })

  test('ends a request whose middleware never calls on with 504, and holds nothing', async () => {
    const clock = virtualClock()
    let closed = 0
    const { app, origin } = await serve(
      app => {
        app.use(
          connect((req, res) => {
            req.on('close', () => closed++)
            res.on('close', () => closed++)
          })
        )
      },
      { app: { clock, limits: { requestTimeout: 1000 } } }
    )
    const answer = fetch(origin)
    await eventually('the request is in work', () => app.live > 1)
    await clock.advance(2000)
    expect((await answer).status).toBe(504)
    await (await answer).arrayBuffer()
    await eventually('both are closed', () => closed === 2)
  })

  test.each([
    ['a status that none can be', res => res.writeHead(99).end('x'), 'bad-status'],
    ['an informational status before a body', res => res.writeHead(101).write('x'), 'bad-status'],
    ['a reason that is no text', res => res.writeHead(200, 'OK\r\nx-b: c').end('x'), 'bad-reason'],
    ['a response that it destroys', res => res.destroy(), 'internal-error'],
    ['a socket that it destroys', res => res.socket?.destroy(), 'internal-error']
  ] as [string, (res: ServerResponse) => unknown, string][])('answers 500 for %s, whatever the method', async (_, answer, code) => {
    const { app, origin } = await serve(app => app.use(connect((_req, res) => void answer(res))))
    for (const method of ['GET', 'PUT']) {
      const refused = await fetch(origin, { method })
      expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([500, code])
    }
    expect(errors).toHaveLength(2)
    await app.close({ timeout: 0 })
    expect(app.live).toBe(0)
  })

  test('fails with what a promise of a library rejects with', async () => {
    const thenable = Object.fromEntries([['then', (_: unknown, reject: (error: Error) => void) => reject(new Error('refused'))]])
    const { origin } = await serve(app => app.use(connect(() => thenable)))
    expect((await fetch(origin)).status).toBe(500)
  })

  test('runs the rest once where the middleware calls next() twice', async () => {
    let runs = 0
    const { origin } = await serve(app => {
      app.use(
        connect((_req, _res, next) => {
          next()
          next()
        })
      )
      const routes = app.use(router())
      routes.get('/', () => {
        runs++
        return 'x'
      })
    })
    const answer = await fetch(origin)
    expect([answer.status, ((await answer.json()) as { code: string }).code, runs]).toEqual([500, 'next-called-twice', 1])
  })

  test('lets the app answer where the middleware writes after next(), and logs what fails then', async () => {
    const { origin } = await serve(app => {
      app.use(
        connect(async (_req, res, next) => {
          next()
          res.end('too late')
          throw new Error('later')
        })
      )
      const routes = app.use(router())
      routes.get('/', () => 'app')
    })
    expect(await (await fetch(origin)).text()).toBe('app')
    expect(String(errors[0]?.[0])).toContain('failed after it had called next()')
  })

  test('ignores next() of a middleware that has answered', async () => {
    const { origin } = await serve(app => {
      app.use(
        connect((_req, res, next) => {
          res.end('answered')
          next()
        })
      )
      const routes = app.use(router())
      routes.get('/', () => 'app')
    })
    expect(await (await fetch(origin)).text()).toBe('answered')
    expect(errors).toEqual([])
  })

  test('shows the request as Node does', async () => {
    let seen: unknown
    const { origin } = await serve(app => {
      app.use(
        connect((req, res, next) => {
          const { method, url, httpVersion, headers, socket, complete } = req
          seen = [method, url, httpVersion, headers['x-a'], headers.cookie, socket.remoteAddress, 'encrypted' in socket && socket.encrypted, complete]
          res.on('finish', () => undefined)
          next()
        })
      )
      const routes = app.use(router())
      routes.get('/a/:b', () => 'x')
    })
    await fetch(`${origin}/a/%62?c=%20`, {
      headers: [
        ['x-a', '1'],
        ['x-a', '2'],
        ['cookie', 'd=1']
      ]
    })
    expect(seen).toEqual(['GET', '/a/b?c=%20', '1.1', '1, 2', 'd=1', '127.0.0.1', false, false])
  })

  test('takes the prefix of a mount off the URL, and gives all middleware of a request one request', async () => {
    const seen: unknown[] = []
    const inner = new App()
      .use(
        connect((req, _res, next) => {
          seen.push(req.url, (req as unknown as { baseUrl: string }).baseUrl, (req as unknown as { mark: number }).mark)
          next()
        })
      )
      .use(() => 'inner')
    const { origin } = await serve(app => {
      app.use(
        connect((req, _res, next) => {
          Object.assign(req, { mark: 1 })
          next()
        })
      )
      app.mount('/in', inner)
    })
    expect(await (await fetch(`${origin}/in/x?y=1`)).text()).toBe('inner')
    expect(seen).toEqual(['/x?y=1', '/in', 1])
  })

  test('tells middleware when the answer of the app has left', async () => {
    const seen: unknown[] = []
    const { origin } = await serve(app => {
      app.use(
        connect((_req, res, next) => {
          res.on('finish', () => seen.push('finish', res.statusCode, res.headersSent, res.writableFinished))
          res.on('close', () => seen.push('close'))
          next()
        })
      )
      const routes = app.use(router())
      routes.get('/', () => reply(202, 'x'))
    })
    await (await fetch(origin)).text()
    await eventually('both events came', () => seen.includes('close'))
    expect(seen).toEqual(['finish', 202, true, true, 'close'])
  })

  test('refuses anything but middleware, and error middleware', () => {
    expect(() => connect('x' as never)).toThrow(expect.objectContaining({ code: 'bad-middleware' }))
    expect(() => connect(((_error: unknown, _req: unknown, _res: unknown, _next: unknown) => undefined) as never)).toThrow(/error middleware/)
    expect(() => connect(helmet(), { usr: 1 } as never)).toThrow(/has no option 'usr'/)
  })
})
