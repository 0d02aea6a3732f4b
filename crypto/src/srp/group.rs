//! The groups of RFC 5054 and the arithmetic of SRP-6a in them, on integers of fixed width.
//!
//! Nothing here hashes or decides: what comes in was checked by the parent module, and secret exponents go through
//! exponentiations whose time depends on their length alone. Big-endian bytes on all sides.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, ConcatenatingMul, Odd, U3072, U4096};
#[cfg(test)]
use crypto_bigint::{U1024, U2048};
use zeroize::Zeroizing;

/// A group in which SRP-6a is done: a safe prime N and a generator g, from RFC 5054, appendix A.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Group {
    /// 3072 bits, g = 5. Accepted.
    Bits3072,
    /// 4096 bits, g = 5. What is enrolled with unless somebody asks for another.
    #[default]
    Bits4096,
    /// 1024 bits, g = 2: too small to protect anything.
    #[cfg(test)]
    Bits1024,
    /// 2048 bits, g = 2.
    #[cfg(test)]
    Bits2048,
}

impl Group {
    /// The length of N, and so of every integer that is sent, in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Bits3072 => 3072 / 8,
            Self::Bits4096 => 4096 / 8,
            #[cfg(test)]
            Self::Bits1024 => 1024 / 8,
            #[cfg(test)]
            Self::Bits2048 => 2048 / 8,
        }
    }

    /// g. One byte is enough for all of them.
    pub const fn generator(self) -> u8 {
        match self {
            Self::Bits3072 | Self::Bits4096 => 5,
            #[cfg(test)]
            Self::Bits1024 | Self::Bits2048 => 2,
        }
    }

    /// N.
    pub fn modulus(self) -> Vec<u8> {
        self.prime().to_be_bytes().into()
    }

    /// A number longer than N, modulo N.
    pub(super) fn reduce(self, wide: &[u8]) -> Secret {
        Zeroizing::new(exponent(wide).rem(self.prime().as_nz_ref()).to_be_bytes().into())
    }

    fn prime(self) -> Odd<BoxedUint> {
        match self {
            Self::Bits3072 => N_3072.into(),
            Self::Bits4096 => N_4096.into(),
            #[cfg(test)]
            Self::Bits1024 => N_1024.into(),
            #[cfg(test)]
            Self::Bits2048 => N_2048.into(),
        }
    }
}

/// An integer that must not stay in memory.
pub(super) type Secret = Zeroizing<Vec<u8>>;

type Element = Zeroizing<BoxedMontyForm>;

/// The computations in one group.
///
/// Results are wiped; the library's own scratch space inside of an exponentiation is not.
pub(super) struct Arithmetic {
    group: Group,
    params: BoxedMontyParams,
}

impl Arithmetic {
    pub(super) fn new(group: Group) -> Self {
        // Variable time in N, which everybody knows.
        Self { group, params: BoxedMontyParams::new_vartime(group.prime()) }
    }

    /// g^exponent: the verifier of x, and the client's public value of a.
    pub(super) fn power_of_g(&self, exponent: &[u8]) -> Secret {
        to_bytes(&self.g_to(exponent))
    }

    /// B = k * v + g^b
    pub(super) fn server_public(&self, k: &[u8], v: &[u8], b: &[u8]) -> Secret {
        let kv = Zeroizing::new(self.element(k).mul(&self.element(v)));
        to_bytes(&Zeroizing::new(kv.add(&self.g_to(b))))
    }

    /// S = (B - k * g^x)^(a + u * x)
    pub(super) fn client_premaster(&self, b_public: &[u8], k: &[u8], x: &[u8], a: &[u8], u: &[u8]) -> Secret {
        let kv = Zeroizing::new(self.element(k).mul(&self.g_to(x)));
        let base = Zeroizing::new(self.element(b_public).sub(&kv));
        let ux = Zeroizing::new(exponent(u).concatenating_mul(&*exponent(x)));
        let sum = Zeroizing::new(ux.concatenating_add(&*exponent(a)));
        to_bytes(&Zeroizing::new(base.pow(&sum)))
    }

    /// S = (A * v^u)^b
    pub(super) fn server_premaster(&self, a_public: &[u8], v: &[u8], u: &[u8], b: &[u8]) -> Secret {
        let vu = Zeroizing::new(self.element(v).pow(&exponent(u)));
        let base = Zeroizing::new(self.element(a_public).mul(&vu));
        to_bytes(&Zeroizing::new(base.pow(&exponent(b))))
    }

    fn g_to(&self, secret: &[u8]) -> Element {
        Zeroizing::new(self.element(&[self.group.generator()]).pow(&exponent(secret)))
    }

    /// Takes at most as many bytes as N has: the parent module checks what others send.
    fn element(&self, bytes: &[u8]) -> Element {
        let integer = BoxedUint::from_be_slice_truncated(bytes, self.params.bits_precision());
        Zeroizing::new(BoxedMontyForm::new(integer, &self.params))
    }
}

/// As wide as its bytes, leading zeros included, so that the time of a power tells nothing but that length.
fn exponent(bytes: &[u8]) -> Zeroizing<BoxedUint> {
    Zeroizing::new(BoxedUint::from_be_slice_vartime(bytes))
}

fn to_bytes(element: &Element) -> Secret {
    let integer = Zeroizing::new(element.retrieve());
    Zeroizing::new(integer.to_be_bytes().into())
}

const N_3072: Odd<U3072> = Odd::<U3072>::from_be_hex(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B\
     302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE6\
     49286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D\
     670C354E4ABC9804F1746C08CA18217C32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718\
     3995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7D\
     B3970F85A6E1E4C7ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C\
     BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF",
);

const N_4096: Odd<U4096> = Odd::<U4096>::from_be_hex(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B\
     302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE6\
     49286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D\
     670C354E4ABC9804F1746C08CA18217C32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718\
     3995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7D\
     B3970F85A6E1E4C7ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C\
     BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A92108011A723C12A787E6D788719A10BDBA5B26\
     99C327186AF4E23C1A946834B6150BDA2583E9CA2AD44CE8DBBBC2DB04DE8EF92E8EFC141FBECAA6287C59474E6BC05D99B2964FA090C3A2\
     233BA186515BE7ED1F612970CEE2D7AFB81BDD762170481CD0069127D5B05AA993B4EA988D8FDDC186FFB7DC90A6C08F4DF435C934063199\
     FFFFFFFFFFFFFFFF",
);

#[cfg(test)]
const N_1024: Odd<U1024> = Odd::<U1024>::from_be_hex(
    "EEAF0AB9ADB38DD69C33F80AFA8FC5E86072618775FF3C0B9EA2314C9C256576D674DF7496EA81D3383B4813D692C6E0E0D5D8E250B98BE4\
     8E495C1D6089DAD15DC7D7B46154D6B6CE8EF4AD69B15D4982559B297BCF1885C529F566660E57EC68EDBC3C05726CC02FD4CBF4976EAA9A\
     FD5138FE8376435B9FC61D2FC0EB06E3",
);

#[cfg(test)]
const N_2048: Odd<U2048> = Odd::<U2048>::from_be_hex(
    "AC6BDB41324A9A9BF166DE5E1389582FAF72B6651987EE07FC3192943DB56050A37329CBB4A099ED8193E0757767A13DD52312AB4B03310D\
     CD7F48A9DA04FD50E8083969EDB767B0CF6095179A163AB3661A05FBD5FAAAE82918A9962F0B93B855F97993EC975EEAA80D740ADBF4FF74\
     7359D041D5C33EA71D281E446B14773BCA97B43A23FB801676BD207A436C6481F1D2B9078717461A5B9D32E688F87748544523B524B0D57D\
     5EA77A2775D2ECFA032CFBDBF52FB3786160279004E57AE6AF874E7303CE53299CCC041C7BC308D82A5698F3A8D0C38271AE35F8E9DBFBB6\
     94B5C803D89F7AE435DE236D525F54759B65E372FCD68EF20FA7111F9E4AFF73",
);
