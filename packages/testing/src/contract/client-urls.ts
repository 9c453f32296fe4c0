import assert from 'node:assert/strict'
import type { IopaError } from '@iopa/transport'
import type { ContractCase } from './case.ts'
import { rejection, served } from './served-app.ts'
import type { TransportSubject } from './subject.ts'

/** `url` with a part more. */
const changed = (
  url: string,
  part: { readonly pathname?: string; readonly search?: string; readonly hash?: string; readonly user?: string }
): string => {
  const { protocol, host } = new URL(url)
  return `${protocol}//${part.user ?? ''}${host}${part.pathname ?? '/'}${part.search ?? ''}${part.hash ?? ''}`
}

/** The URL of a client: every part is used or refused. */
export const clientUrlCases = (subject: TransportSubject): ContractCase[] => {
  const { credentials = false } = subject.features ?? {}
  return [
    {
      name: 'puts its paths below that of its URL, with or without slashes',
      run: () =>
        served(
          subject,
          context => context.path,
          async ({ clients, listener }) => {
            for (const pathname of ['/api', '/api/']) {
              const client = await clients.connect(changed(subject.url(listener), { pathname }))
              for (const path of ['x', '/x']) assert.equal(await (await client.get(path)).text(), '/api/x')
              assert.equal(await (await client.get('')).text(), '/api')
              assert.equal(await (await client.send({ 'iopa.Path': '/x' })).text(), '/x')
            }
          }
        )
    },
    {
      name: 'refuses a URL with a query or a fragment',
      run: () =>
        served(
          subject,
          () => 'x',
          async ({ clients, listener }) => {
            for (const part of [{ search: '?token=1' }, { hash: '#part' }]) {
              const { status, code } = (await rejection(clients.connect(changed(subject.url(listener), part)))) as IopaError
              assert.deepEqual([status, code], [400, 'bad-url'])
            }
          }
        )
    },
    {
      name: credentials ? 'shows the server the user name and password of its URL' : 'refuses a URL with a user name or a password',
      run: () =>
        served(
          subject,
          context => context.headers.get('authorization') ?? '',
          async ({ clients, listener }) => {
            const url = changed(subject.url(listener), { user: 'us%C3%A9r:p%40:ss@' })
            if (credentials) {
              const client = await clients.connect(url)
              if (credentials === 'connect') return
              const sent = `Basic ${Buffer.from('usér:p@:ss').toString('base64')}`
              assert.equal(await (await client.get('/x')).text(), sent)
              assert.equal(await (await client.get('/x', { headers: { authorization: 'Bearer own' } })).text(), 'Bearer own')
            } else {
              const { status, code, detail } = (await rejection(clients.connect(url))) as IopaError
              assert.deepEqual([status, code], [400, 'bad-url'])
              assert.doesNotMatch(detail, /p@:ss/)
            }
          }
        )
    }
  ]
}
