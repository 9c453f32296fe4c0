import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A key with its certificate, as PEM. */
export interface Identity {
  readonly key: string
  readonly cert: string
}

/** An authority of one test run, and identities for localhost and 127.0.0.1 that it has signed. */
export const identities = (...names: readonly string[]): { readonly ca: string; readonly of: Readonly<Record<string, Identity>> } => {
  const folder = mkdtempSync(join(tmpdir(), 'iopa-http-'))
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8')
  const openssl = (command: string): void => void execFileSync('openssl', command.split(' '), { cwd: folder, stdio: 'ignore' })
  const key = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
  try {
    writeFileSync(join(folder, 'names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
    openssl(`req -x509 ${key} -keyout ca.key -out ca.crt -days 2 -subj /CN=authority`)
    const of: Record<string, Identity> = {}
    for (const name of names) {
      openssl(`req ${key} -keyout ${name}.key -out ${name}.csr -subj /CN=${name}`)
      openssl(`x509 -req -in ${name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out ${name}.crt -days 2 -extfile names`)
      of[name] = { key: read(`${name}.key`), cert: read(`${name}.crt`) }
    }
    return { ca: read('ca.crt'), of }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
