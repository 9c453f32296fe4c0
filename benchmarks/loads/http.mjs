import autocannon from 'autocannon'

/** Requests over 64 keep-alive connections; resolves with how many were answered. */
export const httpLoad =
  (path, request = {}) =>
  async (port, duration) => {
    const result = await autocannon({ url: `http://127.0.0.1:${port}${path}`, connections: 64, duration, sampleInt: 100, ...request })
    if (result.non2xx > 0 || result.errors > 0) throw new Error(`${path}: ${result.non2xx} wrong answers, ${result.errors} errors`)
    return result['2xx']
  }
