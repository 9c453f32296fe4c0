// The same request means the same on every protocol, or docs/spec/transport.md says why not: its table is what these tests find.
import { readFileSync } from 'node:fs'
import { IopaError, type ReceivedAnswer, reply } from '@iopa/appbuilder'
import { contentTag } from '@iopa/appbuilder/extension'
import { describe, expect, test } from 'vitest'
import { type Ask, open, type Place, PROTOCOLS, type Protocol, tableIn } from './protocol-table-support.ts'

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

/** What came: a status, and the error of a client as its code. */
const outcomeOf = async (asked: Promise<ReceivedAnswer>): Promise<string> => {
  try {
    return String((await asked).status)
  } catch (error) {
    return error instanceof Error && error.name === 'IopaError' ? (error as IopaError).code : `rejects: ${(error as Error).name}`
  }
}

/** Counts what came: `1 × 204, 99 × 412`. */
const counted = (outcomes: readonly string[]): string => {
  const counts = new Map<string, number>()
  for (const outcome of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
  return [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([outcome, count]) => `${count} × ${outcome}`)
    .join(', ')
}

/** 200 and 204 of a change are one: CoAP has one code for them. */
const statusOf = async (answer: Promise<ReceivedAnswer>): Promise<string> => outcomeOf(answer)

const lamp = (place: { runs: number; status?: number; etag?: string | undefined }) => (app: Place['app']) => {
  let state = 'off'
  app.get('/lamp', () => reply(place.status ?? 200, state, place.etag === undefined ? {} : { etag: place.etag }))
  app.put('/lamp', async context => {
    place.runs++
    const next = await context.text()
    await pause(1)
    state = next
    return reply(204)
  })
}

const withLamp = async (protocol: Protocol, lampOf: { status?: number; etag?: string }, ask: (place: Place) => Promise<string>): Promise<string> => {
  const counts = { runs: 0, ...lampOf }
  const place = await open(protocol, lamp(counts))
  try {
    return `${await ask(place)}${counts.runs > 1 ? `, ${counts.runs} runs` : ''}`
  } finally {
    await place.close()
  }
}

const asking = async (
  protocol: Protocol,
  build: (app: Place['app']) => unknown,
  ask: (place: Place) => Promise<string>,
  options: Parameters<typeof open>[2] = {}
): Promise<string> => {
  const place = await open(protocol, build, options)
  try {
    return await ask(place)
  } finally {
    await place.close()
  }
}

const put = (headers: Record<string, string>): Ask => ({ headers, body: 'on' })
const LONG_TAG = '"a-tag-that-is-longer-than-eight-bytes"'

/** What each row asks. */
const ROWS: Readonly<Record<string, (protocol: Protocol) => Promise<string>>> = {
  'PUT, If-Match of the present ETag': protocol =>
    withLamp(protocol, { etag: '"v1"' }, place => statusOf(place.ask('PUT', '/lamp', put({ 'if-match': '"v1"' })))),
  'PUT, If-Match of an old ETag': protocol =>
    withLamp(protocol, { etag: '"v1"' }, place => statusOf(place.ask('PUT', '/lamp', put({ 'if-match': '"v0"' })))),
  'PUT, If-Match of a long ETag': protocol =>
    withLamp(protocol, { etag: LONG_TAG }, place => statusOf(place.ask('PUT', '/lamp', put({ 'if-match': LONG_TAG })))),
  'PUT, If-Match of a weak ETag': protocol =>
    withLamp(protocol, { etag: 'W/"v1"' }, place => statusOf(place.ask('PUT', '/lamp', put({ 'if-match': 'W/"v1"' })))),
  'PUT, If-Match of the content tag': protocol =>
    withLamp(protocol, {}, place => statusOf(place.ask('PUT', '/lamp', put({ 'if-match': contentTag('off') })))),
  'PUT, If-Match of another content': protocol =>
    withLamp(protocol, {}, place => statusOf(place.ask('PUT', '/lamp', put({ 'if-match': contentTag('on') })))),
  'PUT, If-None-Match: * where there is a state': protocol =>
    withLamp(protocol, {}, place => statusOf(place.ask('PUT', '/lamp', put({ 'if-none-match': '*' })))),
  'PUT, If-None-Match: * where GET says 404': protocol =>
    withLamp(protocol, { status: 404 }, place => statusOf(place.ask('PUT', '/lamp', put({ 'if-none-match': '*' })))),
  'PUT, If-Match: * where GET says 410': protocol =>
    withLamp(protocol, { status: 410 }, place => statusOf(place.ask('PUT', '/lamp', put({ 'if-match': '*' })))),
  'PUT, If-Match: * where GET says 500': protocol =>
    withLamp(protocol, { status: 500 }, place => statusOf(place.ask('PUT', '/lamp', put({ 'if-match': '*' })))),
  'PUT, If-Unmodified-Since of a date before Last-Modified': protocol =>
    asking(
      protocol,
      app => app.get('/lamp', () => reply(200, 'off', { 'last-modified': 'Mon, 07 Nov 1994 08:49:37 GMT' })).put('/lamp', () => reply(204)),
      place => statusOf(place.ask('PUT', '/lamp', put({ 'if-unmodified-since': 'Sun, 06 Nov 1994 08:49:37 GMT' })))
    ),
  '100 parallel PUTs, If-Match of one ETag': protocol =>
    withLamp(protocol, {}, async place => {
      const asked = Array.from({ length: 100 }, (_, at) =>
        statusOf(place.ask('PUT', '/lamp', { headers: { 'if-match': contentTag('off') }, body: `on ${at}` }))
      )
      return counted(await Promise.all(asked))
    }),
  'GET, If-None-Match of the present ETag': protocol =>
    withLamp(protocol, { etag: '"v1"' }, async place => {
      const answer = await place.ask('GET', '/lamp', { headers: { 'if-none-match': '"v1"' } })
      return `${answer.status} ${answer.headers.get('etag')}`
    }),
  'GET, If-None-Match of the content tag': protocol =>
    withLamp(protocol, {}, async place => {
      const answer = await place.ask('GET', '/lamp', { headers: { 'if-none-match': contentTag('off') } })
      return `${answer.status} ${answer.headers.get('etag') === contentTag('off') ? 'content tag' : answer.headers.get('etag')}`
    }),
  'GET, If-Match of an old ETag': protocol =>
    withLamp(protocol, { etag: '"v1"' }, place => statusOf(place.ask('GET', '/lamp', { headers: { 'if-match': '"v0"' } }))),
  'GET of a stream that fails first': protocol =>
    asking(
      protocol,
      app =>
        app.get('/s', async function* () {
          yield* []
          throw new IopaError(503, 'no-sensor', 'The sensor is away.')
        }),
      place => statusOf(place.ask('GET', '/s'))
    ),
  'PUT answered 204 with a body': protocol =>
    asking(
      protocol,
      app => app.put('/p', () => reply(204, 'surplus')),
      async place => {
        const answer = await place.ask('PUT', '/p', { body: 'x' })
        const after = protocol === 'fetch' ? answer : await place.ask('PUT', '/p', { body: 'x' })
        return `${answer.status} ${JSON.stringify(await answer.text())}${after.status === answer.status ? '' : `, then ${after.status}`}`
      }
    ),
  'answer with a header beyond Latin-1': protocol =>
    asking(
      protocol,
      app => app.get('/h', () => reply(200, 'x', { 'x-city': '東京' })),
      async place => {
        const answer = await place.ask('GET', '/h')
        return `${answer.status} ${answer.headers.get('x-city') ?? 'without'}`
      }
    ),
  'request with a header beyond Latin-1': protocol =>
    asking(
      protocol,
      app => app.get('/h', context => context.headers.get('x-city') ?? 'without'),
      async place => {
        try {
          const answer = await place.ask('GET', '/h', { headers: { 'x-city': '東京' } })
          return `${answer.status} ${await answer.text()}`
        } catch (error) {
          return `rejects ${(error as IopaError).code ?? (error as Error).name}`
        }
      }
    ),
  'query a=1%262&b=%C3%A9+%2B&b=x%20y': protocol =>
    asking(
      protocol,
      app => app.get('/q', ({ query }) => [...query].map(pair => pair.join('=')).join(' ')),
      async place => {
        try {
          const answer = await place.ask('GET', '/q', { query: 'a=1%262&b=%C3%A9+%2B&b=x%20y' })
          return answer.ok ? await answer.text() : String(answer.status)
        } catch (error) {
          return `rejects ${(error as IopaError).code}`
        }
      }
    ),
  'method get in lower case': protocol =>
    asking(
      protocol,
      app => app.get('/m', () => 'x'),
      async place => {
        try {
          return String((await place.ask('get', '/m')).status)
        } catch (error) {
          return `rejects ${(error as IopaError).code}`
        }
      }
    ),
  'observe with Accept': protocol =>
    asking(
      protocol,
      app => {
        let state = 0
        app.get('/o', context =>
          context.headers.get('accept')?.includes('text/plain')
            ? reply(200, String(state), { vary: 'accept' })
            : reply(200, { state }, { vary: 'accept' })
        )
        app.put('/o', () => {
          state++
          return reply(204)
        })
      },
      async place => {
        const headers = { accept: 'text/plain' }
        if (place.fetch !== undefined) {
          const response = await place.fetch(new Request('http://app.test/o', { headers: { accept: 'text/plain, text/event-stream' } }))
          const text = await firstEvents(response, () => place.ask('PUT', '/o'))
          return text
        }
        const told: string[] = []
        try {
          const answers = place.client === undefined ? place.app.observe('/o', { headers }) : place.client.observe('/o', { headers })
          for await (const answer of answers) {
            told.push(await answer.text())
            if (told.length === 2) break
            await place.ask('PUT', '/o', { body: 'x' })
          }
        } catch (error) {
          return `rejects ${(error as IopaError).code}`
        }
        return told.join(' then ')
      }
    ),
  'GET that middleware rewrites to HEAD': protocol =>
    asking(
      protocol,
      app => app.get('/r', () => 'body'),
      async place => {
        const answer = await place.ask('GET', '/r')
        const text = await answer.text()
        const second = await place.ask('GET', '/plain')
        return `${answer.status} ${JSON.stringify(text)}, then ${second.status}`
      },
      {
        around: (context, next) => {
          if (context.path === '/r') context.method = 'HEAD'
          return next()
        }
      }
    ),
  'HEAD that middleware rewrites to GET': protocol =>
    asking(
      protocol,
      app => app.get('/r', () => 'body'),
      async place => {
        try {
          const answer = await place.ask('HEAD', '/r')
          const text = await answer.text()
          const second = await place.ask('GET', '/plain')
          return `${answer.status} ${JSON.stringify(text)}, then ${second.status}`
        } catch (error) {
          return `rejects ${(error as IopaError).code}`
        }
      },
      {
        around: (context, next) => {
          if (context.path === '/r') context.method = 'GET'
          return next()
        }
      }
    ),
  'request after app.close()': async protocol => {
    const place = await open(protocol, app => app.get('/c', () => 'x'), { timeout: 1000 })
    await place.ask('GET', '/c')
    await place.app.close({ timeout: 100 })
    const outcome = await outcomeOf(place.ask('GET', '/c'))
    await place.close()
    return outcome
  },
  'put(p, null)': protocol =>
    asking(
      protocol,
      app => app.put('/n', async context => reply(200, `${context.type || 'no type'}, ${(await context.text()) || 'no body'}`)),
      async place => {
        const answer = place.client === undefined ? await place.ask('PUT', '/n', { body: null }) : await place.client.put('/n', null)
        return answer.text()
      }
    ),
  '300 parallel GETs of a path, 10 ms each': async protocol => {
    let running = 0
    let most = 0
    return asking(
      protocol,
      app =>
        app.get('/slow', async () => {
          most = Math.max(most, ++running)
          await pause(10)
          running--
          return 'x'
        }),
      async place => {
        const outcomes = await Promise.all(Array.from({ length: 300 }, () => outcomeOf(place.ask('GET', '/slow'))))
        return `${counted(outcomes)}, ${most >= 16 ? 'side by side' : `${most} at a time`}`
      }
    )
  },
  '300 parallel PUTs of a path, 10 ms each': async protocol => {
    let running = 0
    let most = 0
    return asking(
      protocol,
      app =>
        app
          .get('/slow', () => 'x')
          .put('/slow', async () => {
            most = Math.max(most, ++running)
            await pause(10)
            running--
            return reply(204)
          }),
      async place => {
        const outcomes = await Promise.all(Array.from({ length: 300 }, () => outcomeOf(place.ask('PUT', '/slow', { body: 'x' }))))
        return `${counted(outcomes)}, ${most >= 16 ? 'side by side' : `${most} at a time`}`
      }
    )
  }
}

/** The data of the first two events. */
const firstEvents = async (response: Response, change: () => Promise<ReceivedAnswer>): Promise<string> => {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  const decoder = new TextDecoder()
  let text = ''
  let changed = false
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    text += decoder.decode(next.value, { stream: true })
    const data = [...text.matchAll(/^data: (.*)$/gm)].map(match => match[1] as string)
    if (data.length === 2) {
      await reader.cancel()
      return data.join(' then ')
    }
    if (data.length === 1 && !changed) {
      changed = true
      await change()
    }
  }
  return text
}

const document = readFileSync(new URL('../docs/spec/transport.md', import.meta.url), 'utf8')
const section = document.split('\n## One request on every protocol\n')[1]?.split('\n## ')[0] ?? ''
const written = tableIn(section)

if (process.env['PROTOCOL_TABLE'] !== undefined) {
  describe('the table of docs/spec/transport.md', () => {
    test('is written from the results', { timeout: 120_000 }, async () => {
      const lines = [`| what | ${PROTOCOLS.join(' | ')} |`, `| --- |${' --- |'.repeat(PROTOCOLS.length)}`]
      for (const [what, ask] of Object.entries(ROWS)) {
        const cells: string[] = []
        for (const protocol of PROTOCOLS) cells.push(await ask(protocol).catch(error => `throws ${error}`))
        lines.push(`| ${what} | ${cells.join(' | ')} |`)
      }
      console.log(lines.join('\n'))
    })
  })
} else {
  describe.each(Object.keys(ROWS))('%s', what => {
    const row = written.find(row => row.what === what)
    test.each(PROTOCOLS)('%s answers as in docs/spec/transport.md', async protocol => {
      // A number in brackets names the reason below the table.
      expect(await (ROWS[what] as (protocol: Protocol) => Promise<string>)(protocol)).toBe(row?.cells[protocol]?.replace(/ \(\d+\)$/, ''))
    })
  })

  test('every row of the document is tested, and every differing cell has a reason', () => {
    expect(written.map(row => row.what)).toEqual(Object.keys(ROWS))
    const reasons = new Set([...section.matchAll(/^(\d+)\. /gm)].map(match => match[1]))
    for (const { what, cells } of written) {
      for (const protocol of PROTOCOLS) {
        const [, value, reason] = /^(.*?)(?: \((\d+)\))?$/.exec(cells[protocol] as string) as unknown as [string, string, string | undefined]
        const usual = (cells['memory'] as string).replace(/ \(\d+\)$/, '')
        if (value !== usual) expect(reason, `${what} on ${protocol}`).toBeDefined()
        if (reason !== undefined) expect(reasons, `${what} on ${protocol}`).toContain(reason)
      }
    }
  })
}
