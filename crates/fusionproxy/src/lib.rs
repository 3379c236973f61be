//! fusionproxy
