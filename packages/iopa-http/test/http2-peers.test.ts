// Foreign clients of HTTP/2: curl, nghttp and h2load (Debian: curl, nghttp2-client).
import { execFile, spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { identities } from './certificates.ts'
import { serve } from './support.ts'

const PROGRAMS = ['curl', 'nghttp', 'h2load'] as const
const missing = PROGRAMS.filter(program => spawnSync(program, ['--version']).status !== 0)
if (missing.length > 0 && process.env['IOPA_REQUIRE_PEERS'] === '1') throw new Error(`${missing.join(', ')} are missing: bash .ci/peers`)
if (missing.length > 0) console.warn(`skipped: clients of HTTP/2, for which ${missing.join(', ')} are needed`)

const run = (program: (typeof PROGRAMS)[number], ...args: readonly string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile(program, args, { timeout: 10_000 }, (error, stdout, stderr) =>
      error === null ? resolve(stdout + stderr) : reject(new Error(`${error.message}\n${stdout}${stderr}`))
    )
  })
const curl = (...args: readonly string[]): Promise<string> =>
  run('curl', '--silent', '--show-error', '--insecure', '--max-time', '10', '--noproxy', '*', ...args)

const tls = identities('server').of['server'] as { key: string; cert: string }

describe.skipIf(missing.length > 0)('over HTTP/2', () => {
  test('curl agrees on it by ALPN, uploads, and reuses its connection', async () => {
    const { origin } = await serve(async context => `${context.method} ${context['iopa.Protocol']} ${(await context.bytes()).length}`, { tls })
    const version = ' %{http_version} %{num_connects};'
    expect(await curl('-w', version, `${origin}/a`, `${origin}/b`)).toBe('GET HTTP/2 0 2 1;GET HTTP/2 0 2 0;')
    expect(await curl('-X', 'PUT', '-d', 'x'.repeat(100_000), '-w', ' %{http_version}', origin)).toBe('PUT HTTP/2 100000 2')
    expect(await curl('--http1.1', '-w', ' %{http_version}', origin)).toBe('GET HTTP/1.1 0 1.1')
  })

  test('curl begins with it without TLS', async () => {
    const { origin } = await serve(context => String(context['iopa.Protocol']), { http2: true })
    expect(await curl('--http2-prior-knowledge', '-w', ' %{http_version}', origin)).toBe('HTTP/2 2')
  })

  test('nghttp reads settings and trailers, and sends trailers', async () => {
    const { origin } = await serve(
      async context => {
        const text = await context.text()
        context['server.Trailers'].set('x-sum', () => String(text.length))
        return `body ${text.length} ${context['server.Trailers'].received.get('x-sent')}`
      },
      { tls }
    )
    const heard = await run('nghttp', '-v', '--no-dep', '-H:method: POST', '--data', import.meta.filename, '--trailer', 'x-sent: last', `${origin}/`)
    expect(heard).toContain('SETTINGS_MAX_CONCURRENT_STREAMS(0x03):100')
    expect(heard).toMatch(/:status: 200/)
    expect(heard).toMatch(/body \d+ last/)
    expect(heard).toMatch(/x-sum: \d{3,}/)
    expect(heard).not.toMatch(/RST_STREAM|PROTOCOL_ERROR/)
  })

  test('h2load has all of many concurrent requests answered', async () => {
    const { origin, app } = await serve(context => `path ${context.path}`, { tls })
    const report = await run('h2load', '-n', '400', '-c', '4', '-m', '50', `${origin}/here`)
    expect(report).toMatch(/Application protocol: h2\b/)
    expect(report).toMatch(/requests: 400 total, 400 started, 400 done, 400 succeeded, 0 failed, 0 errored, 0 timeout/)
    expect(report).toMatch(/status codes: 400 2xx, 0 3xx, 0 4xx, 0 5xx/)
    expect(app.counters()['http']).toMatchObject({ refused: 0, shed: 0, dropped: 0 })
  })
})
