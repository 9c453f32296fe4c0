import type { IopaError } from '@iopa/appbuilder'
import type { LinkAnswer, ReceivedAnswer } from '@iopa/context'
import { describe, expect, test } from 'vitest'
import { fileSystem, memory, type StaticOptions, serveStatic } from '../src/index.ts'
import { appWithProtocols } from './protocols.ts'

const files = memory()
// Equal in size, time and content, so that nothing but the coding tells them apart.
for (const path of ['/a.js', '/a.js.br', '/a.js.gz']) files.set(path, 'same', { lastModified: 1_700_000_000_000 })

const ask = (options: StaticOptions, accept: string, path = '/a.js'): Promise<ReceivedAnswer> =>
  appWithProtocols()
    .use(serveStatic(files, { precompressed: true, ...options }))
    .invoke({ 'iopa.Method': 'GET', 'iopa.Path': path, 'iopa.Headers': { 'accept-encoding': accept } })

describe('negotiation', () => {
  test('answers 406 with the available codings and Vary when none is acceptable', async () => {
    for (const accept of ['identity;q=0', '*;q=0', 'identity;q=0, zstd']) {
      const answer = await ask({}, accept)
      expect([answer.status, answer.headers.get('vary')], accept).toEqual([406, 'accept-encoding'])
      expect((answer.error as IopaError).detail).toBe('Accept one of br, gzip, identity')
    }
    expect((await ask({ precompressed: false }, 'identity;q=0')).status).toBe(200)
  })

  test.each(['strong', 'weak', 'hash'] as const)('gives each coding its own tag: %s', async etag => {
    const tags = new Set<string | undefined>()
    for (const accept of ['br', 'gzip', 'identity']) tags.add((await ask({ etag }, accept)).headers.get('etag'))
    expect(tags.size).toBe(3)
  })
})

test('answers 304 without a body for a listing that the client has', async () => {
  const app = appWithProtocols().use(serveStatic(files))
  const bag = { 'iopa.Method': 'GET', 'iopa.Path': '/', 'iopa.Scheme': 'coap' }
  const etag = (await app.invoke(bag)).headers.get('etag')!
  const answer = await app.invoke({ ...bag, 'iopa.Headers': { 'if-none-match': etag } })
  expect([answer.status, (answer as LinkAnswer).payload]).toEqual([304, null])
  const failed = await app.invoke({ ...bag, 'iopa.Headers': { 'if-match': '"other"' } })
  expect(failed.status).toBe(412)
})

test('lists a folder without names that the source refuses', async () => {
  const { mkdtempSync, rmSync, writeFileSync } = await import('node:fs')
  const { tmpdir } = await import('node:os')
  const { join } = await import('node:path')
  const folder = mkdtempSync(join(tmpdir(), 'iopa-names-'))
  for (const name of ['a.txt', 'con', 'a:b', 'GIT~1']) writeFileSync(join(folder, name), 'x')
  expect((await fileSystem(folder).list!('/', 10)).map(({ name }) => name)).toEqual(['a.txt'])
  rmSync(folder, { recursive: true })
})
